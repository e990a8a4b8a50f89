-- Written before the range goes, so that nobody looks for what is in it; again by whoever goes on.
insert into leasehold.pruned (what, range, at, gone, kept, until)
select 'events', %(range)s, leasehold.now(),
       (select coalesce(max(e.event_id) - min(e.event_id) + 1, 0) from leasehold.event e
         where e.event_id >= %(range)s::bigint * 4194304 and e.event_id < (%(range)s::bigint + 1) * 4194304), 0,
       leasehold.now() - make_interval(secs => %(newest)s)
 where not exists (select from leasehold.pruned p where p.what = 'events' and p.range = %(range)s)
on conflict do nothing  -- another prune has written it at the same moment
