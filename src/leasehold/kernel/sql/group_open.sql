-- group_open: open a run group of one workflow, with a lane for each kind of step.
--
-- p_source names whose work it is ('': its own). p_failures_max, or p_failures_max_percent of its runs, may fail in a
-- round that still counts as succeeded (null: none).
--
-- Returns  the group, and whether it was created now: an idempotency key that is known answers with its first group.
-- Cost     one insert, and one lane per kind.
-- Blocks   briefly when two callers bring the same new key.
-- Fencing  LS006 when the key's group has ended (complete, or cancelled): a new request is not swallowed. LS005 when it
--          is of another workflow.
create or replace function leasehold.group_open(
    p_workflow_id bigint, p_label text, p_idempotency_key text, p_weight integer, p_priority integer,
    p_source text default '', p_failures_max bigint default null, p_failures_max_percent double precision default null,
    out group_id bigint, out created boolean)
language plpgsql as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := leasehold.now();
    v_known leasehold.run_group;
    v_group_id bigint;
begin
    insert into leasehold.run_group
        (workflow_id, label, idempotency_key, created_at, source, failures_max, failures_max_percent)
    values (p_workflow_id, p_label, p_idempotency_key, v_now, p_source, p_failures_max, p_failures_max_percent)
    on conflict (idempotency_key) do nothing
    returning group_id into v_group_id;
    created := v_group_id is not null;
    if not created then
        select * into v_known from leasehold.run_group g where g.idempotency_key = p_idempotency_key;
        if v_known.workflow_id <> p_workflow_id then
            raise exception using errcode = 'LS005',
                message = format('the idempotency key %s belongs to group %s, which has another workflow',
                                 quote_literal(p_idempotency_key), v_known.group_id),
                hint = 'Give each submission a key of its own.';
        elsif coalesce(v_known.completed_at, v_known.cancelled_at) is not null then
            raise exception using errcode = 'LS006',
                message = format('the idempotency key %s belongs to group %s, which has %s',
                                 quote_literal(p_idempotency_key), v_known.group_id,
                                 case when v_known.cancelled_at is null then 'ended' else 'been cancelled' end),
                hint = 'It was worked already. If it shall be worked once more, submit it under another key.';
        end if;
        group_id := v_known.group_id;
        return;
    end if;
    group_id := v_group_id;
    insert into leasehold.lane (group_id, workflow_id, kind, stage, weight, priority, subscribed)
    select v_group_id, p_workflow_id, w.kind, min(w.ix), p_weight, p_priority, f.subscribed
      from leasehold.workflow f
      join leasehold.workflow_step w using (workflow_id)
     where f.workflow_id = p_workflow_id group by w.kind, f.subscribed;
    perform leasehold.tell(array['group_start'], array[v_group_id], null, null);
end
$$;
