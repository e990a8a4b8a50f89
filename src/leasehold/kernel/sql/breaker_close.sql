-- breaker_close: let a kind go on, because its probe succeeded or somebody says so. Called by breaker_count and resume.
--
-- p_key null: whatever its keys.
--
-- Returns  how many breakers were open.
-- Cost     one update.
-- Blocks   whoever counts or probes the same kind.
-- Fencing  none needed.
create or replace function leasehold.breaker_close(p_kind text, p_key text, p_why text)
returns integer language plpgsql as $$
declare
    v_n integer;
begin
    with closed as (
        update leasehold.breaker b
           set streak = 0, strikes = 0, opened_at = null, open_until = null, probe_token = null, probe_step = null
         where b.kind = p_kind and (p_key is null or b.key = p_key) and b.opened_at is not null
        returning b.key)
    insert into leasehold.event (name, at, data)
    select 'breaker_closed', leasehold.now(), jsonb_build_object('kind', p_kind, 'key', c.key, 'why', p_why) from closed c;
    get diagnostics v_n = row_count;
    return v_n;
end
$$;
