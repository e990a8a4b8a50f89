-- Of the items that are stored: how many the runs of each source's last scan have stored (the rest were unchanged).
select i.source_id, count(*)
  from leasehold.item i
  join lateral (select y.group_id from leasehold.sync y where y.source_id = i.source_id
                 order by y.sync_id desc limit 1) y on true
  join leasehold.run r on r.run_id = i.run_id and r.group_id = y.group_id
 where i.source_id = any (%s::bigint[]) and i.verdict = 'stored'
 group by i.source_id
