-- expire_leases: take back leases whose deadline has passed although their holder lives.
--
-- The keeper watches its children's deadlines itself and kills the child; this is the backstop for a holder that does
-- not. A lease of one step charges it (its time ran out); of several, each goes back uncharged, to be leased alone.
--
-- Returns  the steps taken back.
-- Cost     one scan of the lease table, one row per page in flight.
-- Blocks   never: leases that somebody is finishing right now are skipped.
-- Fencing  the deadline is read under the lease's lock; a late finish finds no lease and is refused.
create or replace function leasehold.expire_leases(p_limit integer)
returns bigint[] language plpgsql set jit = off as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_lease record;
    v_all bigint[] := '{}';
begin
    for v_lease in
        select l.token, l.step_ids, l.attempts, l.lane_id from leasehold.lease l
         where l.deadline < v_now order by l.token limit p_limit for update skip locked
    loop
        delete from leasehold.lease l where l.token = v_lease.token;
        if cardinality(v_lease.step_ids) = 1 then
            perform leasehold.end_steps(
                v_lease.step_ids, array[nextval('leasehold.token_seq')], v_lease.attempts, array[v_lease.lane_id],
                array['error'::leasehold.ending], array['timeout'], array['its lease passed its deadline'],
                array[null::double precision], array[null::bytea]);
        else
            perform leasehold.requeue(v_lease.step_ids, v_lease.attempts,
                array_fill(v_lease.lane_id, array[cardinality(v_lease.step_ids)]), true);
        end if;
        v_all := v_all || v_lease.step_ids;
    end loop;
    return v_all;
end
$$;
