-- Every bound, with how many runs are open.
select b.what, b.name, b.runs_max, leasehold.open_runs(b.what, b.name), b.since, b.by_whom
  from leasehold.bound b order by b.what, b.name
