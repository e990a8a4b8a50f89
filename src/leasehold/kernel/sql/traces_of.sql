-- Those of these groups that belong to a trace, and to which.
select g.group_id, g.trace from leasehold.run_group g where g.group_id = any (%s) and g.trace is not null
