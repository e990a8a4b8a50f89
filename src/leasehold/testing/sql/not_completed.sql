select g.group_id from leasehold.run_group g
 where g.sealed_at is not null and g.completed_at is null
   and (select count(*) from leasehold.group_span s
          join leasehold.run_outcome o on o.run_id between s.first_run and s.last_run
         where s.group_id = g.group_id and not o.reopened) = g.added
