-- finish_and_lease: finish, and lease to the same holder what that has released, as far as it has room. May be sent
-- again: the same number answers with the same leases, as long as they are held.
--
-- p_next is described at lease_successors; its holder is the one that holds the leases being finished.
--
-- Returns  the rows of finish; one with the verdict 'released' when steps became ready for anybody; and one for each
--          lease made (ord null): its token, lane, kind, group, steps with attempts, and their items if asked for.
-- Cost     finish, less one insert and one delete for each step leased, and the claim that is not needed.
-- Blocks   the holder, shared, before all else, so that no reaper can pass it meanwhile; claims and heartbeats do not
--          wait for that. Then as finish.
-- Fencing  as finish, and as claim: a holder that has ended, or whose step was leased alone, is leased nothing.
create or replace function leasehold.finish_and_lease(
    p_tokens bigint[], p_steps bigint[], p_ends leasehold.ending[], p_reasons text[], p_details text[],
    p_delays double precision[], p_keys bytea[], p_next jsonb)
returns table (ord integer, verdict text, token bigint, lane_id bigint, kind text, group_id bigint, step_ids bigint[],
               attempts smallint[], items jsonb)
language plpgsql set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_holder constant bigint := (p_next ->> 'holder')::bigint;
    v_ended boolean;
begin
    select h.ended_at is not null into v_ended
      from leasehold.holder h where h.holder_id = v_holder for key share;
    if coalesce(v_ended, true)
       or exists (select from leasehold.lease l where l.holder_id = v_holder and l.alone) then
        p_next := p_next || '{"kinds": {}}';
    end if;
    return query
    select f.ord, f.verdict, null::bigint, null::bigint, null::text, null::bigint, null::bigint[], null::smallint[],
           null::jsonb
      from leasehold.finish(p_tokens, p_steps, p_ends, p_reasons, p_details, p_delays, p_keys, p_next) f;
    for token, lane_id, kind, group_id, step_ids, attempts in
        select l.token, l.lane_id, l.kind, a.group_id, l.step_ids, l.attempts
          from leasehold.lease l
          join leasehold.lane a on a.lane_id = l.lane_id
         where l.holder_id = v_holder and l.claim_no = -(p_next ->> 'number')::bigint
    loop
        items := case when p_next -> 'items' ? kind then leasehold.items_of(step_ids) end;
        return next;
    end loop;
end
$$;
