-- end_steps: the one way in which a step ends, whoever says so: finish, reap, deadline, cancel.
--
-- The caller has locked the leases, checked membership and taken the steps out of them. Arrays run in parallel:
-- p_ends is succeeded, error, failed, cancelled or snoozed; an error with attempts left becomes a delayed step, without
-- any it becomes failed; p_delays is the wait in seconds of error and snoozed (null: the workflow's backoff).
--
-- Returns  whether it made steps ready; those that lease_successors leased by p_next are not among them.
-- Cost     measured with finish; a page of 500 plain successes runs five statements.
-- Blocks   as lock_runs: runs by run, blocked rows by step, in one pass each; then run outcomes by run; then
--          breakers, when something errs.
-- Fencing  the tokens are those under which the outcome is recorded: the lease's own for its holder's word, a new one
--          for anybody else's.
create or replace function leasehold.end_steps(
    p_steps bigint[], p_tokens bigint[], p_attempts smallint[], p_lanes bigint[], p_ends leasehold.ending[],
    p_reasons text[], p_details text[], p_delays double precision[], p_keys bytea[],
    p_next jsonb default null)
returns boolean language plpgsql set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    c_plain constant boolean := not p_ends && '{error,snoozed,failed,cancelled}';
    v_now constant timestamptz := leasehold.now();
    v_ends leasehold.ending[] := p_ends;
    v_linear boolean;
    v_has_children boolean;
    v_has_sinks boolean;
    v_subscribed boolean;
    v_children bigint[];
    v_parents smallint[];
    v_touched bigint[];
    v_ending bigint[];
    v_runs bigint[];
    v_run_ends leasehold.ending[];
    v_run_lanes bigint[];
    v_over bigint[];
    v_freed bigint[];
    v_freed_lanes bigint[];
    v_leased bigint[] := '{}';
    v_made_ready boolean := false;
begin
    if p_ends && '{error,snoozed}' then
        -- An error on the last attempt is a failure; everything else that is not final waits for its time.
        select array_agg(case when u.ended = 'error' and u.attempt >= w.attempts_max then 'failed' else u.ended end
                         order by u.ord)
          into v_ends
          from unnest(p_steps, p_attempts, p_lanes, p_ends) with ordinality u(step_id, attempt, lane_id, ended, ord)
          join leasehold.lane l on l.lane_id = u.lane_id
          join leasehold.workflow_step w on w.workflow_id = l.workflow_id and w.ix = u.step_id & 1023;
    end if;

    insert into leasehold.outcome (step_id, token, attempt, ended, at, reason, detail)
    select u.step_id, u.token, u.attempt, u.ended, v_now, u.reason, u.detail
      from unnest(p_steps, p_tokens, p_attempts, v_ends, p_reasons, p_details)
           u(step_id, token, attempt, ended, reason, detail);

    -- Asked once for each lane, so that nothing is looked up for each step of a page that has no children, or no end.
    select bool_and(w.linear and g.cancelled_at is null), bool_or(c.children <> '{}'), bool_or(c.children = '{}'),
           bool_or(l.subscribed && '{step_end,step_failed}')
      into v_linear, v_has_children, v_has_sinks, v_subscribed
      from (select distinct x.lane_id from unnest(p_lanes) x(lane_id)) d
      join leasehold.lane l on l.lane_id = d.lane_id
      join leasehold.workflow w on w.workflow_id = l.workflow_id
      join leasehold.workflow_step c on c.workflow_id = l.workflow_id and c.kind = l.kind
      join leasehold.run_group g on g.group_id = l.group_id;

    if v_subscribed then  -- before anything that follows from these ends is told
        perform leasehold.tell_steps(p_steps, p_lanes, p_attempts, v_ends, p_reasons);
    end if;

    if v_has_children and 'succeeded' = any (v_ends) then
        select array_agg(c.step_id order by c.step_id), array_agg(c.n order by c.step_id)
          into v_children, v_parents
          from (select (u.step_id & ~1023::bigint) + x.ix as step_id, count(*)::smallint as n
                  from unnest(p_steps, p_lanes, v_ends) u(step_id, lane_id, ended)
                  join leasehold.lane l on l.lane_id = u.lane_id
                  join leasehold.workflow_step w on w.workflow_id = l.workflow_id and w.ix = u.step_id & 1023
                 cross join unnest(w.children) x(ix)
                 where u.ended = 'succeeded'
                 group by 1) c;
    end if;

    if not (c_plain and v_linear) then
        select array_agg(distinct u.step_id >> 10),
               array_agg(distinct u.step_id >> 10) filter (where u.ended in ('failed', 'cancelled'))
          into v_touched, v_ending
          from unnest(p_steps, v_ends) u(step_id, ended) where u.ended <> 'succeeded';
        perform leasehold.lock_runs(v_touched, v_ending, v_children);
        -- Runs that are already over release nothing: a sibling failed, or the group was cancelled.
        select array_agg(distinct o.run_id) into v_over
          from unnest(p_steps) u(step_id)
          join leasehold.run_outcome o on o.run_id = u.step_id >> 10 and not o.reopened;
    end if;

    -- Children of what succeeded: those whose last parents these were are released, the others counted down. A run that
    -- is over has none left.
    if v_children is not null then
        with freed as (
            delete from leasehold.blocked b using unnest(v_children, v_parents) c(step_id, n)
             where b.step_id = c.step_id and b.parents_left = c.n
            returning b.step_id, b.lane_id)
        select array_agg(f.step_id order by f.step_id), array_agg(f.lane_id order by f.step_id)
          into v_freed, v_freed_lanes from freed f;
        if p_next is not null and v_freed is not null then
            v_leased := leasehold.lease_successors(p_next, v_freed, v_freed_lanes);
        end if;
        insert into leasehold.ready (lane_id, alone, position, step_id, attempt, unstarted)
        select u.lane_id, false, nextval('leasehold.position_seq'), u.step_id, 1, false
          from unnest(v_freed, v_freed_lanes) u(step_id, lane_id)
         where not exists (select from unnest(v_leased) x(step_id) where x.step_id = u.step_id);
        v_made_ready := found;
        if not v_linear then
            update leasehold.blocked b set parents_left = b.parents_left - c.n
              from unnest(v_children, v_parents) c(step_id, n)
             where b.step_id = c.step_id and b.parents_left > c.n;
        end if;
    end if;

    if p_ends && '{error,snoozed}' then
        insert into leasehold.delayed (step_id, lane_id, ready_at, attempt, alone, why, wait_key)
        select u.step_id, u.lane_id,
               v_now + make_interval(secs => coalesce(u.delay_s, least(w.backoff_max_s::double precision,
                   w.backoff_s * 2 ^ least(u.attempt - 1, 30)) * (0.5 + random() / 2))),
               case when u.ended = 'error' then u.attempt + 1 else u.attempt end, false,
               case when u.ended = 'error' then 'backoff' else coalesce(u.reason, 'snooze') end, u.key
          from unnest(p_steps, p_attempts, p_lanes, v_ends, p_reasons, p_delays, p_keys)
               u(step_id, attempt, lane_id, ended, reason, delay_s, key)
          join leasehold.lane l on l.lane_id = u.lane_id
          join leasehold.workflow_step w on w.workflow_id = l.workflow_id and w.ix = u.step_id & 1023
         where u.ended in ('error', 'snoozed') and (v_over is null or u.step_id >> 10 <> all (v_over));
        if v_over is not null then  -- a step of an ended run does not wait: it ends here
            insert into leasehold.outcome (step_id, token, attempt, ended, at, reason)
            select u.step_id, nextval('leasehold.token_seq'), u.attempt, 'cancelled', v_now, 'run ended'
              from unnest(p_steps, p_attempts, v_ends) u(step_id, attempt, ended)
             where u.ended in ('error', 'snoozed') and u.step_id >> 10 = any (v_over);
            if v_subscribed then
                perform leasehold.tell_steps(array_agg(u.step_id), array_agg(u.lane_id), array_agg(u.attempt),
                                             array_agg('cancelled'::leasehold.ending), array_agg('run ended'::text))
                   from unnest(p_steps, p_lanes, p_attempts, v_ends) u(step_id, lane_id, attempt, ended)
                  where u.ended in ('error', 'snoozed') and u.step_id >> 10 = any (v_over) having count(*) > 0;
            end if;
        end if;
    end if;

    -- Runs that end here: their sink succeeded, or a step failed or was cancelled. A run has one sink, so where only sinks
    -- succeeded, in runs that cannot be over, there is nothing to find out.
    if c_plain and v_linear and not v_has_children then
        v_runs := array(select u.step_id >> 10 from unnest(p_steps) with ordinality u(step_id, ord) order by u.ord);
        v_run_ends := v_ends;
        v_run_lanes := p_lanes;
    elsif v_has_sinks or not c_plain then
        select array_agg(r.run_id order by r.run_id), array_agg(r.ended order by r.run_id),
               array_agg(r.lane_id order by r.run_id)
          into v_runs, v_run_ends, v_run_lanes
          from (select distinct on (u.step_id >> 10) u.step_id >> 10 as run_id, u.lane_id, u.ended
                  from unnest(p_steps, p_lanes, v_ends) u(step_id, lane_id, ended)
                  join leasehold.lane l on l.lane_id = u.lane_id
                  join leasehold.workflow_step w on w.workflow_id = l.workflow_id and w.ix = u.step_id & 1023
                 where (u.ended in ('failed', 'cancelled') or (u.ended = 'succeeded' and w.children = '{}'))
                   and (v_over is null or u.step_id >> 10 <> all (v_over))
                 order by u.step_id >> 10, u.ended desc) r;
    end if;
    if v_runs is not null then
        perform leasehold.end_runs(v_runs, v_run_ends, v_run_lanes);
    end if;
    perform leasehold.breaker_note(p_steps, p_lanes, p_ends, p_reasons, p_details);
    return v_made_ready;
end
$$;
