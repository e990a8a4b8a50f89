-- Stored items of these sources whose newest run belongs to one of these groups.
select count(*) from leasehold.item i join leasehold.run r on r.run_id = i.run_id
 where i.source_id = any (%s::bigint[]) and i.verdict = 'stored' and r.group_id = any (%s::bigint[])
