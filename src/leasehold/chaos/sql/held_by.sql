select coalesce(sum(cardinality(l.step_ids)), 0)
  from leasehold.lease l join leasehold.holder h using (holder_id) where h.pid = any (%s)
