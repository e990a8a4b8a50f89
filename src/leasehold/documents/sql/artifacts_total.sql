select a.kind, count(*), coalesce(sum(coalesce(a.stored, length(a.content))), 0)::bigint
  from leasehold.artifact a group by a.kind order by a.kind
