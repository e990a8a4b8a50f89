-- range_tables: the tables that are partitioned by ranges of runs, in the order in which pruning locks them.
--
-- Returns  name, the column, and how many of its values a run has. outcome is first: a finish comes to it first, so that
--          after it nobody is half-way; run is last, so that a range whose run table is there has them all.
-- Cost     nothing.
-- Blocks   never.
-- Fencing  none.
create or replace function leasehold.range_tables()
returns table (name text, key text, factor bigint) language sql immutable as $$
    values ('outcome', 'step_id', 1024::bigint), ('run_outcome', 'run_id', 1), ('payload', 'run_id', 1), ('step', 'step_id', 1024),
           ('step_result', 'step_id', 1024), ('checkpoint', 'step_id', 1024), ('run', 'run_id', 1)
$$;
