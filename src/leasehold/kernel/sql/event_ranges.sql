-- event_ranges: the partitions of events, oldest first.
--
-- Returns  each with its size in bytes, whether it is closed (no event is drawn into it any more), when its newest event
--          happened (null: it has none), and whether a detach of it was interrupted.
-- Cost     an index probe a partition.
-- Blocks   never.
-- Fencing  none.
create or replace function leasehold.event_ranges()
returns table (range bigint, bytes bigint, closed boolean, newest timestamptz, pending boolean)
language plpgsql stable as $$
#variable_conflict use_column
declare
    v record;
    v_last constant bigint := coalesce(pg_sequence_last_value('leasehold.event_seq'::regclass), 0);
    v_newest timestamptz;
begin
    for v in
        select c.oid, c.relname, substring(c.relname from '_p([0-9]+)$')::bigint as n, i.inhdetachpending as pending
          from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'leasehold.event'::regclass
         order by 3
    loop
        begin
            execute format('select max(t.at) from (select e.at from leasehold.%I e order by e.event_id desc limit 1000) t', v.relname)
               into v_newest;
        exception when undefined_table then
            continue;  -- another prune has dropped it since we listed them
        end;
        return query select v.n, coalesce(pg_total_relation_size(v.oid), 0), (v.n + 1) * 4194304 <= v_last + 1, v_newest, v.pending;
    end loop;
end
$$;
