-- end_holder: end a holder that is known to be dead (its keeper saw it go), and give back all it held.
--
-- p_blamed names the one step that is proven to have caused it, p_suspects those it was working on (null: unknown);
-- end_holders says who is charged and who is leased alone.
--
-- Returns  the steps given back, and the step charged (null: none); all null when the holder had ended already.
-- Cost     one pass over what it held.
-- Blocks   waits for a heartbeat or claim of the same holder that is under way: a dead client's ends at once.
-- Fencing  as end_holders.
create or replace function leasehold.end_holder(
    p_holder_id bigint, p_blamed bigint, p_suspects bigint[], p_reason text, out returned bigint[], out charged bigint)
language plpgsql as $$
begin
    perform from leasehold.holder h where h.holder_id = p_holder_id and h.ended_at is null for update;
    if found then
        select e.returned, e.charged into returned, charged
          from leasehold.end_holders(array[p_holder_id], p_blamed, p_suspects, p_reason) e;
    end if;
end
$$;
