-- The newest runs, newest first: of one group or of all, in one state or in any.
select r.run_id, r.group_id, g.label, o.ended::text,
       (select count(*) from leasehold.run_outcome x where x.run_id = r.run_id and x.reopened),
       (select p.item from leasehold.payload p where p.run_id = r.run_id)
  from leasehold.run r
  join leasehold.run_group g using (group_id)
  left join leasehold.run_outcome o on o.run_id = r.run_id and not o.reopened
 where (%(group)s::bigint is null
        or exists (select from leasehold.group_span s
                    where s.group_id = %(group)s and r.run_id between s.first_run and s.last_run))
   and (%(state)s::text is null or coalesce(o.ended::text, 'open') = %(state)s)
 order by r.run_id desc limit %(limit)s
