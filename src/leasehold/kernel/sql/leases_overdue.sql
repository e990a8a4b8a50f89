-- Leases that should have been taken back: past their deadline, or of a holder whose heartbeat has stopped, each for so
-- many seconds. By the predicates of expire_leases and reap.
select e.token, e.kind, h.name, h.pid, cardinality(e.step_ids), e.step_ids[1],
       e.deadline < leasehold.now(),
       extract(epoch from leasehold.now() - least(e.deadline, h.expires_at))::float8
  from leasehold.lease e join leasehold.holder h using (holder_id)
 where least(e.deadline, h.expires_at) < leasehold.now() - make_interval(secs => %s)
 order by e.token limit %s
