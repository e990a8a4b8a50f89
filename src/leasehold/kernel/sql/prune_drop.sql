-- prune_drop: drop one table that pruning has detached.
--
-- Returns  its name; null when none is left.
-- Cost     what the file system takes to remove its files.
-- Blocks   nobody: nothing refers to it any more. One that somebody still reads is passed over.
-- Fencing  only detached tables of these names; a prune that was interrupted leaves them to the next one.
create or replace function leasehold.prune_drop()
returns text language plpgsql as $$
declare
    v_name text;
begin
    for v_name in
        select c.relname from pg_class c
         where c.relnamespace = 'leasehold'::regnamespace and c.relkind = 'r' and not c.relispartition
           and c.relname ~ '_gone[0-9]+_[0-9]+$|^event_p[0-9]+$'
         order by c.oid
    loop
        -- Longer than deadlock_timeout, so that an autovacuum makes way; but whoever finalizes the detach of a range of
        -- events waits for our snapshot, and has the table.
        perform set_config('lock_timeout', case when v_name ~ '^event_p' then '200ms' else '2s' end, true);
        begin
            execute format('lock table only leasehold.%I in access exclusive mode', v_name);  -- what we remember is old
            execute format('drop table leasehold.%I', v_name);
            return v_name;
        exception when lock_not_available or undefined_table then
            null;
        end;
    end loop;
    return null;
end
$$;
