-- seat_break: take the seats of a resource away from their holders, by an operator's word, which is kept.
--
-- Without p_force only holders whose expiry has passed lose theirs: a heartbeat, never an age or a pid, says who lives.
-- p_max_age_s narrows it to holders that were last heard longer ago than that (null: no matter). A seat that serves a
-- lease takes the lease with it: its steps go back, uncharged, and a late finish is refused.
--
-- Returns  one row per seat that was taken when it began: its token, holder, when that was last heard, how many steps
--          went back, and the verdict: broken, living, heard too lately, or given back meanwhile.
-- Cost     one pass over the resource's seats.
-- Blocks   holders by id (a heartbeat under way is waited for), leases by token, seats by key, then as lock_runs.
-- Fencing  judged under the holder's lock; broken seats get new tokens. Each leaves a row in seat_break.
create or replace function leasehold.seat_break(
    p_key text, p_max_age_s double precision, p_force boolean, p_by text, p_reason text)
returns table (token bigint, holder_id bigint, heard_s double precision, steps integer, verdict text)
language plpgsql set jit = off set enable_seqscan = off as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_holders bigint[];
    v_tokens bigint[];
    v_gone bigint[];
    v_keys text[];
    v_ixs integer[];
    v_told record;
    v_steps record;
begin
    v_holders := array(select distinct s.holder_id from leasehold.seat s
                        where s.key = p_key and s.holder_id is not null);
    perform from leasehold.holder h where h.holder_id = any (v_holders) order by h.holder_id for no key update;
    v_now := leasehold.now();
    select array_agg(s.token) as tokens, array_agg(s.holder_id) as holders,
           array_agg(extract(epoch from v_now - h.heartbeat_at)::float8) as heard,
           array_agg(case when not p_force and h.expires_at >= v_now then 'living'
                          when h.heartbeat_at > v_now - make_interval(secs => coalesce(p_max_age_s, 0))
                               and p_max_age_s is not null then 'heard too lately'
                          else 'broken' end) as verdicts
      into v_told
      from (select distinct s.token, s.holder_id from leasehold.seat s
             where s.key = p_key and s.holder_id = any (v_holders)) s
      join leasehold.holder h on h.holder_id = s.holder_id;
    if v_told.tokens is null then
        return;
    end if;
    v_tokens := array(select u.token from unnest(v_told.tokens, v_told.verdicts) u(token, verdict)
                       where u.verdict = 'broken');
    perform from leasehold.lease l where l.token = any (v_tokens) order by l.token for update;
    perform from leasehold.seat s where s.holder_id = any (v_holders) and s.token = any (v_tokens)
      order by s.key, s.ix for update;
    select array_agg(s.key), array_agg(s.ix), array_agg(distinct s.token) into v_keys, v_ixs, v_gone
      from leasehold.seat s where s.holder_id = any (v_holders) and s.token = any (v_tokens);
    select array_agg(u.step_id order by u.step_id) as ids, array_agg(u.attempt order by u.step_id) as attempts,
           array_agg(l.lane_id order by u.step_id) as lanes, array_agg(l.alone order by u.step_id) as alone
      into v_steps
      from leasehold.lease l, unnest(l.step_ids, l.attempts) u(step_id, attempt) where l.token = any (v_gone);
    return query
    select u.token, u.holder_id, u.heard_s, coalesce(cardinality(l.step_ids), 0),
           case when u.verdict = 'broken' and u.token <> all (coalesce(v_gone, '{}')) then 'given back meanwhile'
                else u.verdict end
      from unnest(v_told.tokens, v_told.holders, v_told.heard, v_told.verdicts) u(token, holder_id, heard_s, verdict)
      left join leasehold.lease l on l.token = u.token;
    if v_gone is null then
        return;
    end if;
    insert into leasehold.seat_break (at, key, token, holder_id, heard_s, steps, forced, role, by_whom, reason)
    select v_now, p_key, u.token, u.holder_id, u.heard_s, coalesce(cardinality(l.step_ids), 0), p_force, session_user,
           p_by, p_reason
      from unnest(v_told.tokens, v_told.holders, v_told.heard) u(token, holder_id, heard_s)
      left join leasehold.lease l on l.token = u.token
     where u.token = any (v_gone);
    delete from leasehold.lease l where l.token = any (v_gone);
    perform leasehold.free_seats(v_keys, v_ixs, false);
    if v_steps.ids is not null then
        perform leasehold.requeue(v_steps.ids, v_steps.attempts, v_steps.lanes, v_steps.alone);
    end if;
end
$$;
