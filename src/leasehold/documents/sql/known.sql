-- What is known of a source (of these paths only, if any are given): stat, and whether the item is settled as it is.
--
-- Settled: it has a verdict under a pipeline that is current; or a run is working on it; or it failed as it is, then
-- `retry --failed` is the way, except where the reason lies outside the content (%(again)s) and may be gone by now.
-- The last column tells which of the others need no more than a look whether their bytes are still the same.
select i.path, i.size, i.mtime_ns, i.inode, i.settled and i.pipeline = any (%(pipelines)b::bytea[]),
       i.verdict = 'stored' and not i.settled and i.pipeline = any (%(pipelines)b::bytea[])
  from leasehold.item i
 where i.source_id = %(source_id)s and i.verdict is not null
   and (%(paths)s::text[] is null or i.path = any (%(paths)s::text[]))
union all
select i.path, i.size, i.mtime_ns, i.inode,
       case when i.run_id is null then false
            when o.ended is null then true
            else o.ended = 'failed' and i.settled
                 and coalesce(i.pipeline = any (%(pipelines)b::bytea[]), true)
                 and not coalesce(f.reason = any (%(again)s::text[]), false) end,
       false
  from leasehold.item i
  left join leasehold.run_outcome o on o.run_id = i.run_id and not o.reopened
  left join lateral (select x.reason from leasehold.outcome x
                      where o.ended = 'failed' and x.step_id >= i.run_id * 1024
                        and x.step_id < (i.run_id + 1) * 1024 and x.ended = 'failed'
                      order by x.token desc limit 1) f on true
 where i.source_id = %(source_id)s and i.verdict is null
   and (%(paths)s::text[] is null or i.path = any (%(paths)s::text[]))
