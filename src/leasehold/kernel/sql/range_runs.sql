-- range_runs: the runs of one range of 1,048,576, and which of them pruning would remove.
--
-- p_needed are runs that somebody else's tables still tell something by. A run goes when its group completed before
-- p_older_s seconds, it has ended, and nobody needs it. So does the call of a hook, which is a step without a run.
--
-- Returns  each run with its group, how it ended (null: it is open), whether it is live (open, or one of its steps stands
--          somewhere), whether it goes, and whether it is a call of a hook.
-- Cost     one pass over the range: 1 s for a full one of single steps.
-- Blocks   never.
-- Fencing  none: prune_range looks again, under its locks, for what has come to life.
create or replace function leasehold.range_runs(
    p_range bigint, p_older_s double precision, p_keep_failed boolean, p_needed bigint[])
returns table (run_id bigint, group_id bigint, ended leasehold.ending, live boolean, goes boolean, hook boolean)
language plpgsql stable set jit = off as $$
#variable_conflict use_column
declare
    c_first constant bigint := p_range << 20;
    c_end constant bigint := (p_range + 1) << 20;
    v_before constant timestamptz := leasehold.now() - make_interval(secs => p_older_s);
begin
    return query
    with standing as materialized (
        select x.run_id from leasehold.live_runs(c_first, c_end) x(run_id)),
    needed as materialized (select distinct u.run_id from unnest(p_needed) u(run_id)),
    found as (
        select r.run_id, r.group_id, o.ended, false as hook
          from leasehold.run r
          left join leasehold.run_outcome o on o.run_id = r.run_id and not o.reopened
         where r.run_id >= c_first and r.run_id < c_end
        union all
        select h.step_id >> 10, h.group_id,
               (select nullif(nullif(nullif(o.ended, 'reopened'), 'snoozed'), 'error') from leasehold.outcome o
                 where o.step_id = h.step_id order by o.token desc limit 1), true
          from leasehold.hook_call h
         where h.step_id >= c_first * 1024 and h.step_id < c_end * 1024
           and not exists (select from leasehold.run r where r.run_id = h.step_id >> 10))
    select r.run_id, r.group_id, r.ended, r.ended is null or s.run_id is not null,
           r.ended is not null and s.run_id is null and n.run_id is null
               and coalesce(g.completed_at < v_before, false) and not (p_keep_failed and r.ended = 'failed'), r.hook
      from found r
      left join leasehold.run_group g on g.group_id = r.group_id
      left join standing s on s.run_id = r.run_id
      left join needed n on n.run_id = r.run_id;
end
$$;
