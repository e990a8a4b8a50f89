-- release_items: give up claims held under these tokens, and wake the steps that wait for their keys.
--
-- Returns  how many waiting steps were woken.
-- Cost     one delete a key, one index probe a key for waiters.
-- Blocks   briefly for another transaction on the same key, in key order. In a transaction that also finishes steps it
--          comes after the finish: the waiting steps it moves stand last in the lock order.
-- Fencing  a claim that another token has taken over stays.
create or replace function leasehold.release_items(p_work text, p_keys bytea[], p_tokens bigint[])
returns integer language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_woken integer;
begin
    perform from leasehold.claim c
      where c.work = p_work and c.key = any (p_keys) and c.token = any (p_tokens) order by c.key for update;
    delete from leasehold.claim c
     where c.work = p_work and c.key = any (p_keys) and c.token = any (p_tokens);
    with waiting as materialized (
        select d.step_id from leasehold.delayed d
         where d.wait_key is not null and d.wait_key = any (p_keys) order by d.step_id for update skip locked),
    gone as (
        delete from leasehold.delayed d using waiting w where d.step_id = w.step_id
        returning d.step_id, d.lane_id, d.attempt, d.alone, d.unstarted)
    insert into leasehold.ready (lane_id, alone, position, step_id, attempt, unstarted)
    select g.lane_id, g.alone, nextval('leasehold.position_seq'), g.step_id, g.attempt, g.unstarted from gone g;
    get diagnostics v_woken = row_count;
    return v_woken;
end
$$;
