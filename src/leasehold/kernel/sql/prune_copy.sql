-- prune_copy: copy what is kept of one range from a table's partition into the new one. Only for prune_range, whose
-- choice stands in the temporary table pruning_kept.
--
-- Returns  nothing.
-- Cost     one index probe and one insert for each row that is kept; pinned to that, for a plan that reads the whole range
--          under the lock would take seconds.
-- Blocks   never.
-- Fencing  p_live: the runs that are live, copied under the lock; the others can change no more, as prune_swap makes sure.
create or replace function leasehold.prune_copy(p_table text, p_range bigint, p_live boolean)
returns void language plpgsql
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    execute format(
        case when (select t.key from leasehold.range_tables() t where t.name = p_table) = 'step_id'
             then 'insert into leasehold.%I select t.* from pruning_kept x join leasehold.%I t '
                  'on t.step_id >= x.run_id * 1024 and t.step_id < (x.run_id + 1) * 1024 where x.live = %L'
             else 'insert into leasehold.%I select t.* from pruning_kept x join leasehold.%I t '
                  'on t.run_id = x.run_id where x.live = %L' end,
        format('%s_new%s', p_table, p_range), format('%s_p%s', p_table, p_range), p_live);
end
$$;
