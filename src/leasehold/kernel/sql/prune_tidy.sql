-- prune_tidy: remove small rows of what is long over: lanes of groups of which nothing is left, holders that have ended,
-- refusals, seats that were broken. p_limit of each at most; called until it answers 0.
--
-- Returns  how many rows were removed.
-- Cost     as many index probes; holders and refusals by a pass over them.
-- Blocks   adding to those groups, for a moment.
-- Fencing  the group's row is locked, so that nothing is being added; group_add refuses a group that has been pruned.
create or replace function leasehold.prune_tidy(p_older_s double precision, p_limit integer)
returns bigint language plpgsql set jit = off as $$
declare
    v_before constant timestamptz := leasehold.now() - make_interval(secs => p_older_s);
    v_groups bigint[];
    v_n bigint;
    v_gone bigint := 0;
begin
    v_groups := array(
        select g.group_id from leasehold.group_pruned p join leasehold.run_group g using (group_id)
         where not p.tidy and g.completed_at is not null
           and not exists (select from leasehold.group_span s where s.group_id = p.group_id)
         order by g.group_id limit p_limit for no key update of g skip locked);
    delete from leasehold.lane l where l.group_id = any (v_groups);
    get diagnostics v_gone = row_count;
    update leasehold.group_pruned p set tidy = true where p.group_id = any (v_groups);
    delete from leasehold.refusal r where r.refusal_id in (
        select x.refusal_id from leasehold.refusal x where x.at < v_before limit p_limit);
    get diagnostics v_n = row_count;
    v_gone := v_gone + v_n;
    delete from leasehold.seat_break b where b.break_id in (
        select x.break_id from leasehold.seat_break x where x.at < v_before limit p_limit);
    get diagnostics v_n = row_count;
    v_gone := v_gone + v_n;
    delete from leasehold.holder h where h.holder_id in (
        select x.holder_id from leasehold.holder x
         where x.ended_at < v_before
           and not exists (select from leasehold.lease l where l.holder_id = x.holder_id)
           and not exists (select from leasehold.seat s where s.holder_id = x.holder_id)
         limit p_limit for update skip locked);
    get diagnostics v_n = row_count;
    return v_gone + v_n;
end
$$;
