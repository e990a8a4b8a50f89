-- Stored items of these sources whose run ended at or after a moment; the other stored ones were so before.
select count(*)
  from leasehold.item i join leasehold.run_outcome o on o.run_id = i.run_id and o.ended = 'succeeded'
 where i.source_id = any (%s::bigint[]) and i.verdict = 'stored' and o.at >= %s
