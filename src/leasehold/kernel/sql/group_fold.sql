-- group_fold: add a group's deltas to its counts, and complete it when it is sealed and done = added.
--
-- Returns  true if this very call completed the group's round.
-- Cost     one update per call, however many deltas.
-- Blocks   never: if somebody else holds the group row, that one or the next fold does it.
-- Fencing  the unique row (group, round) of group_completion makes completion happen once, with its event. A round ends
--          cancelled if its group was, failed if more runs failed than the group bears, else succeeded.
create or replace function leasehold.group_fold(p_group_id bigint)
returns boolean language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_group leasehold.run_group;
    v_sum record;
    v_ended leasehold.ending;
begin
    perform from leasehold.run_group g where g.group_id = p_group_id for no key update skip locked;
    if not found then
        return false;
    end if;
    with gone as (
        delete from leasehold.group_delta d where d.group_id = p_group_id
        returning d.succeeded, d.failed, d.cancelled)
    select coalesce(sum(g.succeeded), 0) as succeeded, coalesce(sum(g.failed), 0) as failed,
           coalesce(sum(g.cancelled), 0) as cancelled
      into v_sum from gone g;
    update leasehold.run_group g
       set succeeded = g.succeeded + v_sum.succeeded, failed = g.failed + v_sum.failed,
           cancelled = g.cancelled + v_sum.cancelled
     where g.group_id = p_group_id and v_sum.succeeded + v_sum.failed + v_sum.cancelled > 0;
    select * into v_group from leasehold.run_group g where g.group_id = p_group_id;
    if v_group.sealed_at is null or v_group.completed_at is not null
       or v_group.succeeded + v_group.failed + v_group.cancelled < v_group.added then
        return false;
    end if;
    v_ended := case when v_group.cancelled_at is not null then 'cancelled'
                    when v_group.failed > coalesce(v_group.failures_max,
                                                   floor(v_group.added * v_group.failures_max_percent / 100), 0)
                    then 'failed' else 'succeeded' end;
    insert into leasehold.group_completion (group_id, round, at, succeeded, failed, cancelled, ended)
    values (p_group_id, v_group.round, leasehold.now(), v_group.succeeded, v_group.failed, v_group.cancelled, v_ended);
    update leasehold.run_group g set completed_at = leasehold.now() where g.group_id = p_group_id;
    perform leasehold.tell(array['group_end'], array[p_group_id], null, array[
        jsonb_build_object('round', v_group.round, 'ended', v_ended, 'succeeded', v_group.succeeded,
                           'failed', v_group.failed, 'cancelled', v_group.cancelled)]);
    return true;
end
$$;
