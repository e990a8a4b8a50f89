-- checkpoint_save: keep what a step has saved while it is under work, under a name.
--
-- Returns  whether the step is still held under this token; if not, nothing was written.
-- Cost     as held_steps for one pair, and one upsert.
-- Blocks   while another writer of the same lease is not committed.
-- Fencing  membership in the lease's own list. A late word is refused and counted.
create or replace function leasehold.checkpoint_save(p_token bigint, p_step bigint, p_name text, p_value jsonb)
returns boolean language plpgsql as $$
begin
    if (select h.ords from leasehold.held_steps(array[p_token], array[p_step]) h) is null then
        insert into leasehold.refusal (at, verb, token, steps) values (leasehold.now(), 'checkpoint', p_token, 1);
        return false;
    end if;
    insert into leasehold.checkpoint (step_id, name, token, value, at)
    values (p_step, p_name, p_token, p_value, leasehold.now())
    on conflict (step_id, name) do update set token = excluded.token, value = excluded.value, at = excluded.at;
    return true;
end
$$;
