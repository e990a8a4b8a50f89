-- The bounds that concern a group and let nothing more in.
select x.what, x.name, x.runs_max, x.open
  from leasehold.run_group g
 cross join lateral (
       select b.what, b.name, b.runs_max, leasehold.open_runs(b.what, b.name) as open from leasehold.bound b
        where (b.what, b.name) in (('source', g.source), ('group', g.group_id::text))
           or b.what = 'kind' and exists (select from leasehold.lane l where l.group_id = g.group_id and l.kind = b.name)) x
 where g.group_id = %s and x.open >= x.runs_max
 order by x.what, x.name
