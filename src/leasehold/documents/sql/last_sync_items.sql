-- Of the items that are stored: how many were stored since each source's last scan began (the rest were unchanged). Those
-- that a program of an earlier release stored are told by their runs.
select i.source_id, count(*)
  from leasehold.item i
  join lateral (select y.started_at from leasehold.sync y where y.source_id = i.source_id
                 order by y.sync_id desc limit 1) y on true
  left join leasehold.run_outcome o on i.stored_at is null and o.run_id = i.run_id and o.ended = 'succeeded'
 where i.source_id = any (%s::bigint[]) and i.verdict = 'stored' and coalesce(i.stored_at, o.at) >= y.started_at
 group by i.source_id
