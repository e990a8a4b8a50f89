-- claim: lease up to p_limits[i] ready steps of each lane p_lanes[i] to one holder.
--
-- Returns  one row per lease: its token, lane, steps with attempts, deadline, and the last position taken (the hint for
--          the next claim of this lane). A claim number that was used before returns what it took and is still held,
--          and takes nothing. A row with a null token says that a lane has steps waiting to be claimed alone.
--          A lane behind a resource gives no more than there are free seats (lane_seats); without one it is passed over.
--          A claim that takes nothing leaves no trace, so a twin of it that was late on the way might take something
--          that nobody hears of. Who must fear that sends the number again without lanes: it is used up then.
-- Cost     one forward scan of the lane's key behind the hint. Measured figures stand in docs/decisions.
-- Blocks   only for another claim, heartbeat or reap of the same holder; steps and seats that another claim holds
--          are skipped.
-- Fencing  the token is drawn after the rows are locked, so it rises for every step. An ended holder gets LS002.
create or replace function leasehold.claim(
    p_holder_id bigint, p_claim_no bigint, p_lanes bigint[], p_limits integer[], p_hints bigint[],
    p_deadlines_s double precision[])
returns table (token bigint, lane_id bigint, step_ids bigint[], attempts smallint[], deadline timestamptz,
               last_position bigint, alone boolean)
language plpgsql set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_holder leasehold.holder;
    v_now timestamptz;
    v_busy boolean;
    v_took boolean := false;
    v_token bigint;
    v_steps bigint[];
    v_attempts smallint[];
    v_fresh bigint[];
    v_last bigint;
    v_deadline timestamptz;
    v_guarded bigint[];
    v_subscribed bigint[];
    v_seats record;
    v_limit integer;
    i integer;
begin
    select * into v_holder from leasehold.holder h where h.holder_id = p_holder_id for no key update;
    if v_holder.ended_at is not null or v_holder.holder_id is null then
        raise exception using errcode = 'LS002', message = format('holder %s has ended', p_holder_id),
            hint = 'Stop what it was working on, and join again as a new holder.';
    end if;
    if p_claim_no <= v_holder.claim_no then
        return query
        select l.token, l.lane_id, l.step_ids, l.attempts, l.deadline, null::bigint, l.alone
          from leasehold.lease l where l.holder_id = p_holder_id and l.claim_no = p_claim_no;
        return;
    end if;
    if p_lanes = '{}' then
        update leasehold.holder h set claim_no = p_claim_no where h.holder_id = p_holder_id;
        return;
    end if;
    if exists (select from leasehold.lease l where l.holder_id = p_holder_id and l.alone) then
        return;
    end if;
    v_busy := exists (select from leasehold.lease l where l.holder_id = p_holder_id);
    v_now := leasehold.now();
    select array_agg(l.lane_id) filter (
               where exists (select from leasehold.resource r where r.key = any (array[l.key, 'kind:' || l.kind]))),
           array_agg(l.lane_id) filter (where l.subscribed is not null)
      into v_guarded, v_subscribed
      from leasehold.lane l where l.lane_id = any (p_lanes);

    for i in 1 .. cardinality(p_lanes) loop
        v_limit := p_limits[i];
        if p_lanes[i] = any (v_guarded) then
            select * into v_seats from leasehold.lane_seats(p_lanes[i], v_limit);
            v_limit := v_seats.n;
            continue when v_limit = 0;
        end if;
        if exists (select from leasehold.ready r where r.lane_id = p_lanes[i] and r.alone) then
            if v_busy or v_took then
                return query select null::bigint, p_lanes[i], null::bigint[], null::smallint[], null::timestamptz,
                                    null::bigint, true;
            else
                with taken as (
                    delete from leasehold.ready r where r.ctid = any (array(
                        select c.ctid from leasehold.ready c where c.lane_id = p_lanes[i] and c.alone
                         order by c.position limit 1 for update skip locked))
                    returning r.step_id, r.attempt)
                select array_agg(t.step_id), array_agg(t.attempt) into v_steps, v_attempts from taken t;
                if v_steps is not null then
                    v_token := nextval('leasehold.token_seq');
                    v_deadline := v_now + make_interval(secs => p_deadlines_s[i]);
                    insert into leasehold.lease
                        (token, holder_id, claim_no, lane_id, kind, alone, claimed_at, deadline, step_ids, attempts)
                    select v_token, p_holder_id, p_claim_no, l.lane_id, l.kind, true, v_now, v_deadline, v_steps,
                           v_attempts
                      from leasehold.lane l where l.lane_id = p_lanes[i];
                    if p_lanes[i] = any (v_guarded) then
                        perform leasehold.fill_seats(p_holder_id, v_token, v_seats.keys, v_seats.ixs, cardinality(v_steps));
                    end if;
                    if p_lanes[i] = any (v_subscribed) then
                        perform leasehold.tell_leased(p_lanes[i], v_steps, v_attempts, null);
                    end if;
                    update leasehold.holder h set claim_no = p_claim_no where h.holder_id = p_holder_id;
                    return query select v_token, p_lanes[i], v_steps, v_attempts, v_deadline, null::bigint, true;
                    return;
                end if;
            end if;
        end if;

        with taken as (
            delete from leasehold.ready r where r.ctid = any (array(
                select c.ctid from leasehold.ready c
                 where c.lane_id = p_lanes[i] and not c.alone and c.position > p_hints[i]
                 order by c.position limit v_limit for update skip locked))
            returning r.step_id, r.attempt, r.position, r.unstarted)
        select array_agg(t.step_id order by t.position), array_agg(t.attempt order by t.position), max(t.position),
               array_agg(t.step_id order by t.position) filter (where t.unstarted)
          into v_steps, v_attempts, v_last, v_fresh
          from taken t;
        continue when v_steps is null;

        v_took := true;
        v_token := nextval('leasehold.token_seq');
        v_deadline := v_now + make_interval(secs => p_deadlines_s[i]);
        insert into leasehold.lease
            (token, holder_id, claim_no, lane_id, kind, alone, claimed_at, deadline, step_ids, attempts)
        select v_token, p_holder_id, p_claim_no, l.lane_id, l.kind, false, v_now, v_deadline, v_steps, v_attempts
          from leasehold.lane l where l.lane_id = p_lanes[i];
        if p_lanes[i] = any (v_guarded) then
            perform leasehold.fill_seats(p_holder_id, v_token, v_seats.keys, v_seats.ixs, cardinality(v_steps));
        end if;
        if p_lanes[i] = any (v_subscribed) then
            perform leasehold.tell_leased(p_lanes[i], v_steps, v_attempts, v_fresh);
        elsif v_fresh is not null then
            insert into leasehold.event (name, group_id, run_id, at)
            select 'run_start', l.group_id, f.step_id >> 10, v_now
              from leasehold.lane l, unnest(v_fresh) f(step_id) where l.lane_id = p_lanes[i];
        end if;
        return query select v_token, p_lanes[i], v_steps, v_attempts, v_deadline, v_last, false;
    end loop;
    if v_took then
        update leasehold.holder h set claim_no = p_claim_no where h.holder_id = p_holder_id;
    end if;
end
$$;
