-- check_bounds: refuse to add runs to a group where a bound says that they are too many. Called by group_add, before it
-- writes anything.
--
-- Returns  nothing.
-- Cost     a look at a table of a few rows; as open_runs for each bound that concerns the group.
-- Blocks   adds that count against the same bound, until the transaction ends: bounds are locked by what and name.
-- Fencing  counted after the lock, so that two adds at once cannot both take the last place. LS007: full, try again;
--          LS008: more at once than the bound ever lets in.
create or replace function leasehold.check_bounds(p_group_id bigint, p_source text, p_n bigint)
returns void language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v record;
    v_open bigint;
begin
    for v in
        select b.what, b.name, b.runs_max from leasehold.bound b
         where (b.what, b.name) in (('source', p_source), ('group', p_group_id::text))
            or b.what = 'kind'
               and exists (select from leasehold.lane l where l.group_id = p_group_id and l.kind = b.name)
         order by b.what, b.name for update
    loop
        if p_n > v.runs_max then
            raise exception using errcode = 'LS008',
                message = format('%s runs at once are more than %s %s ever takes: %s', p_n, v.what, v.name, v.runs_max),
                hint = 'Add fewer at a time, or raise the bound.';
        end if;
        v_open := leasehold.open_runs(v.what, v.name);
        if v_open + p_n > v.runs_max then
            raise exception using errcode = 'LS007',
                message = format('%s %s has %s runs open and takes %s at most, so %s more do not fit',
                                 v.what, v.name, v_open, v.runs_max, p_n),
                hint = 'Nothing was added; add them again when some have ended.';
        end if;
    end loop;
end
$$;
