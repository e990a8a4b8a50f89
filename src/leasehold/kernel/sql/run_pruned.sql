-- When the range of this run was pruned last; no row when it never was.
select max(p.at) from leasehold.pruned p where p.what = 'runs' and p.range = %s::bigint >> 20 having count(*) > 0
