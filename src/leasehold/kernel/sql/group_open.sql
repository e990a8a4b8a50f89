-- group_open: open a run group of one workflow, with a lane for each kind of step.
--
-- Returns  the group, and whether it was created now: an idempotency key that is known answers with its first group.
-- Cost     one insert, and one lane per kind.
-- Blocks   briefly when two callers bring the same new key.
-- Fencing  none needed.
create or replace function leasehold.group_open(
    p_workflow_id bigint, p_label text, p_idempotency_key text, p_weight integer, p_priority integer,
    out group_id bigint, out created boolean)
language plpgsql as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := leasehold.now();
    v_group_id bigint;
begin
    insert into leasehold.run_group (workflow_id, label, idempotency_key, created_at)
    values (p_workflow_id, p_label, p_idempotency_key, v_now)
    on conflict (idempotency_key) do nothing
    returning group_id into v_group_id;
    created := v_group_id is not null;
    if not created then
        select g.group_id into group_id from leasehold.run_group g where g.idempotency_key = p_idempotency_key;
        return;
    end if;
    group_id := v_group_id;
    insert into leasehold.lane (group_id, workflow_id, kind, stage, weight, priority)
    select v_group_id, p_workflow_id, w.kind, min(w.ix), p_weight, p_priority
      from leasehold.workflow_step w where w.workflow_id = p_workflow_id group by w.kind;
    insert into leasehold.event (name, group_id, at) values ('group_start', v_group_id, v_now);
end
$$;
