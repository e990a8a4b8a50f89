-- Groups of which a call of a hook has not ended, wherever it stands.
select distinct c.group_id
  from (select r.step_id from leasehold.lane l join leasehold.ready r using (lane_id) where l.hook_id is not null
        union all
        select d.step_id from leasehold.delayed d join leasehold.lane l using (lane_id) where l.hook_id is not null
        union all
        select unnest(e.step_ids) from leasehold.lease e join leasehold.lane l using (lane_id) where l.hook_id is not null) o
  join leasehold.hook_call c using (step_id)
 where exists (select from leasehold.hook)
