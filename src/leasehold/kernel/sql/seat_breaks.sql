-- The last times that a seat of one resource was taken away by somebody's word: whose it was, and who did it. A holder
-- that has been forgotten since has no name any more.
select b.at, extract(epoch from leasehold.now() - b.at)::float8, b.token, b.holder_id, h.kind, h.name, h.host, h.pid,
       b.heard_s, b.steps, b.forced, b.role, b.by_whom, b.reason
  from leasehold.seat_break b left join leasehold.holder h using (holder_id)
 where b.key = %s
 order by b.break_id desc limit %s
