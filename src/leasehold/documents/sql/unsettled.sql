-- Items whose last word is not spoken: the file changed or was away when its run came, or the run was called off.
select v.path, case when v.state = 'skipped' then v.reason else v.state end
  from leasehold.item_state v join leasehold.item i using (item_id)
 where v.source_id = %s and (v.state = 'cancelled' or (v.state = 'skipped' and not i.settled and v.reason = any (%s)))
