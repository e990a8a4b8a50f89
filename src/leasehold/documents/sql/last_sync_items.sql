-- Of the items that are stored: how many were stored since each source's last scan began (the rest were unchanged).
select i.source_id, count(*)
  from leasehold.item i
  join lateral (select y.started_at from leasehold.sync y where y.source_id = i.source_id
                 order by y.sync_id desc limit 1) y on true
  join leasehold.run_outcome o on o.run_id = i.run_id and o.ended = 'succeeded' and o.at >= y.started_at
 where i.source_id = any (%s::bigint[]) and i.verdict = 'stored'
 group by i.source_id
