-- group_add: add one run per item, with all its steps: the first ones ready, the rest blocked.
--
-- p_page names this page within the group (null: none): a page that is known is not added again.
--
-- Returns  the first run id; the others follow without a gap. Sent again under its page's name, the same one.
-- Cost     per run one row each in run and payload, per step one in step and one in ready or blocked. One run: 0.4 ms
--          and a commit; plans are generic, since planning the inserts anew would double that.
-- Blocks   adding, sealing, folding and retrying of the same group until the transaction ends; other groups never.
-- Fencing  as check_bounds, before anything is written. Adding to a group that was complete opens its next round.
create or replace function leasehold.group_add(p_group_id bigint, p_items jsonb[], p_page text)
returns bigint
language plpgsql set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_group leasehold.run_group;
    v_n constant bigint := cardinality(p_items);
    v_first bigint;
begin
    select * into v_group from leasehold.run_group g where g.group_id = p_group_id for update;
    if not found then
        raise exception using errcode = 'LS004', message = format('there is no group %s', p_group_id);
    end if;
    select s.first_run into v_first from leasehold.group_span s where s.group_id = p_group_id and s.page = p_page;
    if found then
        return v_first;
    end if;
    if v_group.cancelled_at is not null then
        raise exception using errcode = 'LS005', message = format('group %s was cancelled', p_group_id),
            hint = 'Open a new group.';
    end if;
    if exists (select from leasehold.group_pruned p where p.group_id = p_group_id) then
        raise exception using errcode = 'LS005', message = format('group %s has been pruned', p_group_id),
            hint = 'Open a new group.';
    end if;
    if v_n = 0 then
        return null;
    end if;
    perform leasehold.check_bounds(p_group_id, v_group.source, v_n);
    v_first := leasehold.draw_runs(v_n);
    perform leasehold.ensure_partitions(v_first + v_n);
    insert into leasehold.run (run_id, group_id) select v_first + i, p_group_id from generate_series(0, v_n - 1) i;
    insert into leasehold.payload (run_id, item)
    select v_first + u.ord - 1, u.item from unnest(p_items) with ordinality u(item, ord);
    insert into leasehold.step (step_id, lane_id)
    select (v_first + i) * 1024 + w.ix, l.lane_id
      from generate_series(0, v_n - 1) i, leasehold.workflow_step w
      join leasehold.lane l on l.group_id = p_group_id and l.kind = w.kind
     where w.workflow_id = v_group.workflow_id
     order by 1;
    insert into leasehold.ready (lane_id, alone, position, step_id, attempt, unstarted)
    select o.lane_id, false, nextval('leasehold.position_seq'), o.step_id, 1, true
      from (select l.lane_id, (v_first + i) * 1024 + w.ix as step_id
              from generate_series(0, v_n - 1) i, leasehold.workflow_step w
              join leasehold.lane l on l.group_id = p_group_id and l.kind = w.kind
             where w.workflow_id = v_group.workflow_id and w.parents = 0
             order by 2) o;
    insert into leasehold.blocked (step_id, lane_id, parents_left)
    select (v_first + i) * 1024 + w.ix, l.lane_id, w.parents
      from generate_series(0, v_n - 1) i, leasehold.workflow_step w
      join leasehold.lane l on l.group_id = p_group_id and l.kind = w.kind
     where w.workflow_id = v_group.workflow_id and w.parents > 0;
    insert into leasehold.group_span (group_id, first_run, last_run, page)
    values (p_group_id, v_first, v_first + v_n - 1, p_page);
    update leasehold.run_group g
       set added = g.added + v_n,
           round = g.round + case when g.completed_at is null then 0 else 1 end,
           completed_at = null
     where g.group_id = p_group_id;
    return v_first;
end
$$;
