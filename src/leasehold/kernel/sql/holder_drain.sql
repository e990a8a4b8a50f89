-- holder_drain: tell workers to claim no more: to finish what they hold and then end ('end'), or stay idle ('idle').
--
-- p_how null takes it back, for those that are idle or still at it. What a worker holds stays its own.
--
-- Returns  the workers that are told something new.
-- Cost     one update a worker.
-- Blocks   waits for a claim, heartbeat or reap of the same workers; they are locked in the holders' order.
-- Fencing  a worker that has ended is left as it is. Its workers learn it with their next heartbeat; a claim that is on
--          its way may still take something, which is finished too.
create or replace function leasehold.holder_drain(p_holder_ids bigint[], p_how text, p_by text)
returns bigint[] language plpgsql as $$
declare
    v_told bigint[];
begin
    perform from leasehold.holder h where h.holder_id = any (p_holder_ids) order by h.holder_id for no key update;
    with told as (
        update leasehold.holder h
           set drain = p_how,
               drained_at = case when p_how is null then null else leasehold.now() end,
               drained_by = case when p_how is null then null else p_by end
         where h.holder_id = any (p_holder_ids) and h.kind = 'worker' and h.ended_at is null
           and h.drain is distinct from p_how
        returning h.holder_id)
    select coalesce(array_agg(t.holder_id order by t.holder_id), '{}') into v_told from told t;
    return v_told;
end
$$;
