-- limit_set: give a resource this many seats, and say whether one covers a page or a step. Makes it if need be.
--
-- Growing adds rows at once. Shrinking removes free seats at once, and taken ones as they come back (free_seats).
--
-- Returns  how many seats it had before (null: it is new), and how many are taken now, which may be more than it has.
-- Cost     one row a seat.
-- Blocks   the resource, then its seats in order: until claims and finishes that are at one of them have committed.
-- Fencing  none needed: nobody loses a seat. per stays as it is while seats are taken (LS005), or leases would keep
--          more or fewer than they need. An index (rag:) has one seat at most (LS010).
create or replace function leasehold.limit_set(
    p_key text, p_seats integer, p_per text, out before integer, out taken bigint)
language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_per text;
begin
    if p_key like 'rag:%' and p_seats > 1 then
        raise exception using errcode = 'LS010', message = format('%s is an index, and an index has one writer', p_key),
            hint = 'Set it to 1, or to 0 to let nobody write.';
    end if;
    insert into leasehold.resource (key, seats, per, created_at)
    values (p_key, 0, coalesce(p_per, case when p_key like 'kind:%' then 'step' else 'page' end), v_now)
    on conflict do nothing;
    if not found then
        select r.seats, r.per into before, v_per from leasehold.resource r where r.key = p_key for update;
    end if;
    perform from leasehold.seat s where s.key = p_key order by s.ix for update;
    select count(*) into taken from leasehold.seat s where s.key = p_key and s.holder_id is not null;
    if p_per <> v_per and taken > 0 then
        raise exception using errcode = 'LS005',
            message = format('%s seats of %s are taken; each covers a %s', taken, p_key, v_per),
            hint = 'Pause the limit until they have come back, then set it again.';
    end if;
    update leasehold.resource r set seats = p_seats, per = coalesce(p_per, r.per) where r.key = p_key;
    delete from leasehold.seat s
     where s.key = p_key and s.holder_id is null
       and s.ix not in (select x.ix from leasehold.seat x where x.key = p_key and x.holder_id is null
                         order by x.ix limit greatest(0, p_seats - taken));
    -- Numbered anew, the taken ones first: those that are too many stand above the number. In two steps, as numbers are
    -- unique at every moment.
    update leasehold.seat s set ix = s.ix + 1000000 where s.key = p_key;
    update leasehold.seat s set ix = m.nth
      from (select x.ix, row_number() over (order by x.holder_id is null, x.ix) as nth
              from leasehold.seat x where x.key = p_key) m
     where s.key = p_key and s.ix = m.ix;
    insert into leasehold.seat (key, ix, since)
    select p_key, i, v_now from generate_series(1, p_seats) i
     where not exists (select from leasehold.seat s where s.key = p_key and s.ix = i);
end
$$;
