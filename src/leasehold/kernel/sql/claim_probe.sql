-- claim_probe: claim one step of a lane whose breaker is open, as its probe. One at a time, whoever asks.
--
-- Returns  as claim_with_items, for this one lane; nothing when somebody else's probe is out, or it is too early for one. When the
--          breaker has closed meanwhile, a step like any other.
-- Cost     a claim of one step; a claim that comes too late is taken back.
-- Blocks   as claim; then for whoever judges or takes the same breaker's probe.
-- Fencing  the claim comes first and the breaker last, as everywhere. A probe is out for as long as its lease is there:
--          one that never reports ends with its lease, and none stays latched.
create or replace function leasehold.claim_probe(
    p_holder_id bigint, p_claim_no bigint, p_lane bigint, p_deadline_s double precision, p_items boolean)
returns table (token bigint, lane_id bigint, step_ids bigint[], attempts smallint[], last_position bigint,
               alone boolean, items jsonb)
language plpgsql set jit = off set enable_seqscan = off as $$
#variable_conflict use_column
declare
    v record;
    v_breaker leasehold.breaker;
    v_now timestamptz;
begin
    begin
        select * into v
          from leasehold.claim_with_items(p_holder_id, p_claim_no, array[p_lane], array[1], array[0::bigint],
                                          array[p_deadline_s], array[p_items]) c;
        if not found then
            return;
        end if;
        if v.token is not null then
            select b.* into v_breaker from leasehold.lane l
              join leasehold.breaker b on b.kind = l.kind and b.key = coalesce(l.key, '')
             where l.lane_id = p_lane and b.opened_at is not null for update of b;
            v_now := leasehold.now();
            if found and v.token is distinct from v_breaker.probe_token then
                if v_breaker.open_until > v_now
                   or exists (select from leasehold.lease e where e.token = v_breaker.probe_token) then
                    raise exception using errcode = 'LS099', message = 'another probe is out';
                end if;
                update leasehold.breaker b
                   set probe_token = v.token, probe_step = v.step_ids[1],
                       open_until = v_now + leasehold.breaker_pause(v_breaker.strikes)
                 where b.kind = v_breaker.kind and b.key = v_breaker.key;
            end if;
        end if;
    exception when sqlstate 'LS099' then
        return;
    end;
    return query select v.token, v.lane_id, v.step_ids, v.attempts, v.last_position, v.alone, v.items;
end
$$;
