-- Results that no document of any collection is made of, by kind: number, bytes as stored.
select a.kind, count(*), coalesce(sum(coalesce(a.stored, length(a.content))), 0)::bigint
  from leasehold.artifact a
 where a.created_at < leasehold.now() - make_interval(secs => %s)
   and not exists (select from kept k where k.recipe = a.recipe)
   and not (a.kind = 'workflow' and exists (select from leasehold.step s where s.step_id = a.step_id))
 group by a.kind order by a.kind
