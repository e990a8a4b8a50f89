-- Seeing: since when a step is ready, which kinds a worker serves, and which workers are to claim no more.
--
-- Works with programs from 0002: their workers do not say what they serve, and do not heed a drain.

-- As in kernel/sql/now.sql, which replaces it: the default below needs it before the functions are made.
create or replace function leasehold.now() returns timestamptz language sql volatile parallel safe as $$
    select clock_timestamp()
$$;

-- Null for what was ready before this migration. The default is set apart, so that the table is not written anew.
alter table leasehold.ready add column since timestamptz;
alter table leasehold.ready alter column since set default leasehold.now();

-- kinds: what it serves; null while it has not said. drain: it claims no more, and then ends, or stays idle.
alter table leasehold.holder
    add column kinds       text[],
    add column drain       text check (drain in ('end', 'idle')),
    add column drained_at  timestamptz,
    add column drained_by  text,
    add constraint holder_drain check ((drain is null) = (drained_at is null) and (drain is null) = (drained_by is null));

-- It returns one column more; a worker of an earlier release asks for the others by name.
drop function if exists leasehold.holder_heartbeat(bigint[]);
