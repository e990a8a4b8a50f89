-- The breakers that are open: since when, how long until the next probe may come, and the probe that is out.
select b.kind, b.key, b.opened_at, greatest(0, extract(epoch from b.open_until - leasehold.now()))::float8, b.streak,
       b.strikes, b.reason, b.detail, b.fingerprint,
       (select b.probe_step from leasehold.lease e where e.token = b.probe_token)
  from leasehold.breaker b
 where b.opened_at is not null
 order by b.kind, b.key
