-- These runs: their group, how they ended (null: open), and what waits, is leased, or has ended in them.
select r.run_id, r.group_id, g.label,
       (select o.ended::text from leasehold.run_outcome o where o.run_id = r.run_id and not o.reopened),
       (select count(*) from leasehold.run_outcome o where o.run_id = r.run_id and o.reopened),
       (select p.item from leasehold.payload p where p.run_id = r.run_id)
  from leasehold.run r
  join leasehold.run_group g using (group_id)
 where r.run_id = any (%s::bigint[])
 order by r.run_id
