-- has_table: whether there is a table of that name in our schema now, as other transactions have committed it.
--
-- Returns  true or false.
-- Cost     one index probe.
-- Blocks   never.
-- Fencing  to_regclass answers from what this session remembers, which is what was before it waited for a lock.
create or replace function leasehold.has_table(p_name text)
returns boolean language plpgsql as $$
begin
    return exists (select from pg_class c where c.relname = p_name and c.relnamespace = 'leasehold'::regnamespace);
end
$$;
