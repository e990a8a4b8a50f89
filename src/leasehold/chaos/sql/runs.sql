-- Every run: its item, the label of its group, how it ended.
select r.run_id, p.item, g.label, o.ended::text
  from leasehold.run r
  join leasehold.payload p on p.run_id = r.run_id
  join leasehold.run_group g on g.group_id = r.group_id
  left join leasehold.run_outcome o on o.run_id = r.run_id and not o.reopened
