-- holder_join: register a process that will hold things.
--
-- Returns  its holder_id, never used before.
-- Cost     one insert.
-- Blocks   never.
-- Fencing  a holder that has ended can never be revived; whoever lost one joins again.
create or replace function leasehold.holder_join(
    p_kind text, p_name text, p_host text, p_pid integer, p_ttl_s double precision)
returns bigint language plpgsql as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_ttl constant interval := make_interval(secs => p_ttl_s);
    v_holder_id bigint;
begin
    insert into leasehold.holder (kind, name, host, pid, ttl, started_at, heartbeat_at, expires_at)
    values (p_kind, p_name, p_host, p_pid, v_ttl, v_now, v_now, v_now + v_ttl)
    returning holder_id into v_holder_id;
    return v_holder_id;
end
$$;
