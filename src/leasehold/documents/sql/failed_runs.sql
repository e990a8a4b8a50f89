-- Runs that failed and are still the newest of their items, by group; a run that was superseded is left in peace.
select r.group_id, array_agg(v.run_id order by v.run_id)
  from leasehold.item_state v join leasehold.run r using (run_id)
 where v.state = 'failed' group by r.group_id order by r.group_id
