-- Results by where they lie: store (null: the database), number, bytes as stored; and objects that nothing refers to.
select a.store_id, count(*), coalesce(sum(coalesce(a.stored, length(a.content))), 0)::bigint,
       (select count(*) from leasehold.artifact_stray s where s.store_id = a.store_id)
  from leasehold.artifact a group by a.store_id
union all
select s.store_id, 0, 0, count(*) from leasehold.artifact_stray s
 where not exists (select from leasehold.artifact a where a.store_id = s.store_id) group by s.store_id
 order by 1 nulls first
