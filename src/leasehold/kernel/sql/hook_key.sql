-- hook_key: the key under which whoever a hook calls can tell a repetition: the same in every attempt, and no other's.
--
-- Returns  the hook's name, the event's number, and what makes them unlike another database's.
-- Cost     none to speak of.
-- Blocks   never.
-- Fencing  none needed.
create or replace function leasehold.hook_key(p_name text, p_event_id bigint, p_salt text)
returns text language sql immutable as $$
    select p_name || ':' || p_event_id || ':' || p_salt
$$;
