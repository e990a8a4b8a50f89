-- breaker_count: count errors of one fingerprint in a row, kind by kind; open a breaker that has seen enough of them, and
-- judge a probe by how it ended.
--
-- Errors that will be tried again count (transient, timeout, the death of a process). A failure for good is the item's
-- own, a skip or a snooze says nothing: they neither count nor break a row. While a breaker is open only its probe
-- matters: what was leased before may err as it likes, which is no strike.
--
-- Returns  nothing.
-- Cost     a few statements for each kind that errs or is watched; the rows are locked until the transaction ends.
-- Blocks   breakers by kind and key, the last locks of all.
-- Fencing  the probe is known by its step, which nobody can have claimed otherwise while the breaker is open.
create or replace function leasehold.breaker_count(
    p_steps bigint[], p_lanes bigint[], p_ends leasehold.ending[], p_reasons text[], p_details text[])
returns void language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_now constant timestamptz := leasehold.now();
    v record;
    v_breaker leasehold.breaker;
    v_row record;
    v_probe leasehold.ending;
    v_streak integer;
begin
    for v in
        select k.* from (
            select l.kind, coalesce(l.key, '') as key, min(w.breaker_after) as after,
                   max(u.ord) filter (where u.ended = 'succeeded') as good, bool_or(u.ended = 'error') as errs,
                   array_agg(u.step_id order by u.ord) as steps, array_agg(u.ended order by u.ord) as ends,
                   array_agg(u.ord order by u.ord) as ords
              from unnest(p_steps, p_lanes, p_ends) with ordinality u(step_id, lane_id, ended, ord)
              join leasehold.lane l on l.lane_id = u.lane_id
              join leasehold.workflow_step w on w.workflow_id = l.workflow_id and w.ix = u.step_id & 1023
             where w.breaker_after is not null
             group by 1, 2) k
         where k.errs
            or exists (select from leasehold.breaker b where b.kind = k.kind and b.key = k.key and b.streak > 0)
         order by k.kind, k.key
    loop
        insert into leasehold.breaker (kind, key, fingerprint, streak, reason, detail)
        values (v.kind, v.key, '', 0, '', '') on conflict (kind, key) do nothing;
        select * into v_breaker from leasehold.breaker b where b.kind = v.kind and b.key = v.key for update;
        if v_breaker.opened_at is not null then
            v_probe := (select u.ended from unnest(v.steps, v.ends) u(step_id, ended)
                         where u.step_id = v_breaker.probe_step);
            continue when v_probe is null;
            if v_probe = 'succeeded' then
                perform leasehold.breaker_close(v.kind, v.key, 'its probe succeeded');
                continue;
            end if;
            if v_probe <> 'error' then  -- it says nothing: the next one may come at its time
                update leasehold.breaker b set probe_token = null, probe_step = null
                 where b.kind = v.kind and b.key = v.key;
                continue;
            end if;
            v_streak := v_breaker.streak;
            select u.reason, u.detail, leasehold.fingerprint(u.reason, u.detail) as fingerprint into v_row
              from unnest(p_steps, p_reasons, p_details) u(step_id, reason, detail)
             where u.step_id = v_breaker.probe_step;
        else
            -- The newest error after the newest success, and how many before it in a row are the same.
            with errors as materialized (
                select u.ord, u.reason, u.detail, leasehold.fingerprint(u.reason, u.detail) as fingerprint
                  from unnest(p_reasons, p_details) with ordinality u(reason, detail, ord)
                 where u.ord = any (select o.ord from unnest(v.ords, v.ends) o(ord, ended) where o.ended = 'error')
                   and u.ord > coalesce(v.good, 0)),
            newest as (select * from errors e order by e.ord desc limit 1)
            select n.reason, n.detail, n.fingerprint, coalesce(x.last, 0) = 0 as unbroken,
                   (select count(*) from errors e where e.ord > coalesce(x.last, 0)) as n
              into v_row
              from newest n
             cross join lateral (select max(e.ord) as last from errors e where e.fingerprint <> n.fingerprint) x;
            if v_row.fingerprint is null then
                if v.good is not null then
                    update leasehold.breaker b set streak = 0 where b.kind = v.kind and b.key = v.key and b.streak > 0;
                end if;
                continue;
            end if;
            v_streak := v_row.n + case when v_row.unbroken and v.good is null and v_row.fingerprint = v_breaker.fingerprint
                                       then v_breaker.streak else 0 end;
        end if;
        update leasehold.breaker b
           set fingerprint = v_row.fingerprint, streak = v_streak, reason = coalesce(v_row.reason, ''),
               detail = left(coalesce(v_row.detail, ''), 2000), probe_token = null, probe_step = null
         where b.kind = v.kind and b.key = v.key;
        if v_breaker.opened_at is not null or v_streak >= v.after then
            update leasehold.breaker b
               set strikes = least(b.strikes + 1, 1000), opened_at = coalesce(b.opened_at, v_now),
                   open_until = v_now + leasehold.breaker_pause(b.strikes + 1)
             where b.kind = v.kind and b.key = v.key
            returning * into v_breaker;
            insert into leasehold.event (name, at, data)
            values ('breaker_open', v_now,
                    jsonb_build_object('kind', v.kind, 'key', v.key, 'strikes', v_breaker.strikes, 'until',
                                       v_breaker.open_until, 'reason', v_breaker.reason, 'fingerprint',
                                       v_breaker.fingerprint));
        end if;
    end loop;
end
$$;
