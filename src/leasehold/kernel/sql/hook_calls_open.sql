-- Whether a call of a hook has not ended, wherever it stands.
select exists (select from leasehold.hook)
   and (exists (select from leasehold.lane l join leasehold.ready r using (lane_id) where l.hook_id is not null)
        or exists (select from leasehold.lease e join leasehold.lane l using (lane_id) where l.hook_id is not null)
        or exists (select from leasehold.delayed d join leasehold.lane l using (lane_id) where l.hook_id is not null))
