-- seat_confirm: whether this holder has a seat of this resource under this token; if so, until the transaction ends.
--
-- For writes that must not happen once the seat is somebody else's: confirm and write in one transaction.
--
-- Returns  true, and nobody can take the seat away before the transaction's end; or false.
-- Cost     one lock.
-- Blocks   until whoever breaks or resizes this seat has committed.
-- Fencing  this is it. A false answer is a late write: it is counted as refused.
create or replace function leasehold.seat_confirm(p_holder_id bigint, p_key text, p_token bigint)
returns boolean language plpgsql set jit = off set enable_seqscan = off as $$
begin
    perform from leasehold.seat s where s.key = p_key and s.token = p_token and s.holder_id = p_holder_id for share;
    if found then
        return true;
    end if;
    insert into leasehold.refusal (at, verb, token, steps) values (leasehold.now(), 'confirm seat', p_token, 1);
    return false;
end
$$;
