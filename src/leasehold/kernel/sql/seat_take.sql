-- seat_take: a holder takes one seat of a resource, without a step. May be sent again.
--
-- A key that is not known yet becomes a resource with one seat. p_wait puts the holder in line, where it keeps its place
-- as long as it lives and asks again at least every 5 seconds; free seats go to the line in its order, and the line and
-- the steps behind the same key take turns (seats_free).
--
-- Returns  the verdict (taken, held, paused), the token if taken, and its place in line, from 1, if it waits. A holder
--          that has a seat there is answered with that one.
-- Cost     one pass over the resource's seats and line.
-- Blocks   for other verbs of the same holder, and briefly for whoever is taking the same seat.
-- Fencing  an ended holder gets LS002; the token is drawn after the seat is locked, so a resource's tokens rise.
create or replace function leasehold.seat_take(
    p_holder_id bigint, p_key text, p_wait boolean, out verdict text, out token bigint, out place integer)
language plpgsql set jit = off set enable_seqscan = off as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_free integer[];
    v_mine bigint;
    v_ahead integer;
    v_ix integer;
begin
    perform from leasehold.holder h where h.holder_id = p_holder_id and h.ended_at is null for no key update;
    if not found then
        raise exception using errcode = 'LS002', message = format('holder %s has ended', p_holder_id),
            hint = 'Stop what it was working on, and join again as a new holder.';
    end if;
    v_now := leasehold.now();
    perform leasehold.resource_open(p_key);
    select s.token into token from leasehold.seat s
     where s.key = p_key and s.holder_id = p_holder_id and not s.leased;
    if found then
        verdict := 'taken';
        return;
    end if;
    if p_wait then
        insert into leasehold.seat_line (key, holder_id, since, asked_at) values (p_key, p_holder_id, v_now, v_now)
        on conflict (key, holder_id) do update set asked_at = excluded.asked_at
        returning seat_line.place into v_mine;
    end if;
    select count(*) into v_ahead
      from leasehold.seat_line w join leasehold.holder h on h.holder_id = w.holder_id
     where w.key = p_key and w.holder_id <> p_holder_id and (v_mine is null or w.place < v_mine)
       and w.asked_at > v_now - interval '5 seconds' and h.ended_at is null and h.expires_at > v_now;
    v_free := leasehold.seats_free(p_key, false);
    if cardinality(v_free) > v_ahead then
        select s.ix into v_ix from leasehold.seat s
         where s.key = p_key and s.ix = any (v_free) and s.holder_id is null order by s.ix limit 1 for update;
    end if;
    if v_ix is null then
        verdict := case when exists (select from leasehold.pause p
                                     where p.what = 'limit' and p.name = p_key and p.until > v_now)
                        then 'paused' else 'held' end;
        place := case when p_wait then v_ahead + 1 end;
        return;
    end if;
    token := nextval('leasehold.token_seq');
    update leasehold.seat s set holder_id = p_holder_id, token = seat_take.token, leased = false, since = v_now
     where s.key = p_key and s.ix = v_ix;
    delete from leasehold.seat_line w where w.key = p_key and w.holder_id = p_holder_id;
    verdict := 'taken';
end
$$;
