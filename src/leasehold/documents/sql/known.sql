-- What is known of a source: stat, and whether the item is settled as it is: it has a verdict under a pipeline that is
-- current, or a run is working on it, or it failed as it is (then `retry --failed` is the way). The last column tells
-- which of the others need no more than a look whether their bytes are still the same.
select i.path, i.size, i.mtime_ns, i.inode,
       case when i.verdict is not null then i.settled and i.pipeline = any (%(pipelines)b::bytea[])
            when i.run_id is null then false
            else coalesce(o.ended::text, 'pending') in ('failed', 'pending') end,
       i.verdict = 'stored' and not i.settled and i.pipeline = any (%(pipelines)b::bytea[])
  from leasehold.item i
  left join leasehold.run_outcome o on i.verdict is null and o.run_id = i.run_id and not o.reopened
 where i.source_id = %(source_id)s
