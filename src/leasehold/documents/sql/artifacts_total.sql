select a.kind, count(*), coalesce(sum(length(a.content)), 0)::bigint from leasehold.artifact a group by a.kind order by a.kind
