-- seat_give_back: a holder gives back the seat that it took under this token, or its place in line. May be sent again.
--
-- Returns  'given back', 'already given back' (nobody has taken the seat since), 'left the line' (p_token is null), or
--          'lost': the seat was taken away; nothing changes then.
-- Cost     one update.
-- Blocks   until whoever confirms, breaks or resizes this seat has committed.
-- Fencing  holder and token must be the seat's; what is lost is counted as refused.
create or replace function leasehold.seat_give_back(p_holder_id bigint, p_key text, p_token bigint)
returns text language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_seat leasehold.seat;
begin
    delete from leasehold.seat_line w where w.key = p_key and w.holder_id = p_holder_id;
    if p_token is null then
        return 'left the line';
    end if;
    select * into v_seat from leasehold.seat s where s.key = p_key and s.token = p_token and not s.leased for update;
    if v_seat.holder_id = p_holder_id then
        perform leasehold.free_seats(array[p_key], array[v_seat.ix], true);
        return 'given back';
    end if;
    if v_seat.key is not null and v_seat.holder_id is null then
        return 'already given back';
    end if;
    insert into leasehold.refusal (at, verb, token, steps) values (leasehold.now(), 'give back', p_token, 1);
    return 'lost';
end
$$;
