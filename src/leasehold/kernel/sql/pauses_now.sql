-- What is paused at this moment. Without an end (infinity): null.
select p.what, p.name, case when isfinite(p.until) then p.until end,
       case when isfinite(p.until) then extract(epoch from p.until - leasehold.now())::float8 end,
       p.since, p.by_whom, p.why
  from leasehold.pause p
 where p.until > leasehold.now()
 order by p.what, p.name
