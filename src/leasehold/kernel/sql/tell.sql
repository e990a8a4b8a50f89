-- tell: write events that somebody may want to hear of, and make the calls of the hooks that name them.
--
-- Arrays run in parallel, in the order in which it happened. Called where a hook or a subscription is known, or may be;
-- what nobody subscribed to is written by whoever does it, without coming here.
--
-- Returns  nothing.
-- Cost     one insert an event, 8 us; for each call one row in payload, step, hook_call and ready, 27 us with its event
--          (bench/hooks.py).
-- Blocks   as draw_runs, and as ensure_partitions once in a million calls; only when there is a call to make.
-- Fencing  the call is made in the transaction of its event: one is there if and only if the other is. The unique pair
--          (hook, event) of hook_call says once.
create or replace function leasehold.tell(p_names text[], p_groups bigint[], p_runs bigint[], p_datas jsonb[])
returns void language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_now constant timestamptz := leasehold.now();
    v record;
    v_first bigint;
begin
    with written as (
        insert into leasehold.event (name, group_id, run_id, at, data)
        select u.name, u.group_id, u.run_id, v_now, u.data
          from unnest(p_names, p_groups, p_runs, p_datas) with ordinality u(name, group_id, run_id, data, ord)
         order by u.ord
        returning event_id, name, group_id, run_id, data)
    select array_agg(h.hook_id order by e.event_id, h.hook_id) as hooks,
           array_agg(l.lane_id order by e.event_id, h.hook_id) as lanes,
           array_agg(e.event_id order by e.event_id, h.hook_id) as events,
           array_agg(e.group_id order by e.event_id, h.hook_id) as groups,
           array_agg(e.run_id order by e.event_id, h.hook_id) as runs,
           array_agg(jsonb_build_object(
               'hook', h.name, 'call', h.call, 'timeout_s', h.timeout_s, 'key', leasehold.hook_key(h.name, e.event_id, h.salt),
               'event', jsonb_build_object(
                   'event_id', e.event_id, 'name', e.name, 'at', v_now, 'workflow', f.name, 'group_id', e.group_id,
                   'label', g.label, 'run_id', e.run_id, 'data', coalesce(e.data, '{}')),
               'item', (select p.item from leasehold.payload p where p.run_id = e.run_id))
               order by e.event_id, h.hook_id) as bodies
      into v
      from written e
      join leasehold.run_group g on g.group_id = e.group_id
      join leasehold.workflow f on f.workflow_id = g.workflow_id
      join leasehold.hook h on h.workflow_id = g.workflow_id and e.name = any (h.events)
      join leasehold.lane l on l.hook_id = h.hook_id;
    if v.hooks is null then
        return;
    end if;
    v_first := leasehold.draw_runs(cardinality(v.hooks));
    perform leasehold.ensure_partitions(v_first + cardinality(v.hooks));
    insert into leasehold.payload (run_id, item)
    select v_first + u.ord - 1, u.body from unnest(v.bodies) with ordinality u(body, ord);
    insert into leasehold.step (step_id, lane_id)
    select (v_first + u.ord - 1) * 1024, u.lane_id from unnest(v.lanes) with ordinality u(lane_id, ord);
    insert into leasehold.hook_call (step_id, hook_id, event_id, group_id, run_id)
    select (v_first + u.ord - 1) * 1024, u.hook_id, u.event_id, u.group_id, u.run_id
      from unnest(v.hooks, v.events, v.groups, v.runs) with ordinality u(hook_id, event_id, group_id, run_id, ord);
    insert into leasehold.ready (lane_id, alone, position, step_id, attempt, unstarted)
    select o.lane_id, false, nextval('leasehold.position_seq'), o.step_id, 1, false
      from (select u.lane_id, (v_first + u.ord - 1) * 1024 as step_id
              from unnest(v.lanes) with ordinality u(lane_id, ord) order by u.ord) o;
end
$$;
