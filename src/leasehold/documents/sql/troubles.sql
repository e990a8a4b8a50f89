-- Items that failed or were skipped, one row each, with what happened.
select * from (
    select s.uri, v.path, v.state, coalesce(v.reason, f.reason, ''), coalesce(v.detail, f.detail, ''), ''
      from leasehold.item_state v
      join leasehold.source s using (source_id)
      left join lateral (select o.reason, o.detail from leasehold.outcome o
                          where v.state = 'failed' and o.step_id >= v.run_id * 1024
                            and o.step_id < (v.run_id + 1) * 1024 and o.ended = 'failed'
                          order by o.token desc limit 1) f on true
     where v.source_id = any (%(sources)s::bigint[]) and v.state = any (%(states)s::text[])
    union all
    select s.uri, o.path, o.verdict, o.reason, o.detail, o.remedy
      from leasehold.oddity o join leasehold.source s using (source_id)
     where o.source_id = any (%(sources)s::bigint[]) and o.verdict = any (%(states)s::text[])) t
   (uri, path, state, reason, detail, remedy)
 order by state, reason, uri, path limit %(limit)s
