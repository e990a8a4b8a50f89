-- New and changed items, waiting for a run. One that a run is working on already stays with that run: it reads the file
-- when it comes to it, and what changes later is seen by the next scan.
insert into leasehold.item as i (source_id, path, size, mtime_ns, inode, settled)
select %(source_id)s, u.path, u.size, u.mtime_ns, u.inode, true
  from unnest(%(paths)s::text[], %(sizes)s::bigint[], %(mtimes)s::bigint[], %(inodes)s::bigint[])
       u(path, size, mtime_ns, inode)
 order by u.path
on conflict (source_id, path) do update
   set size = excluded.size, mtime_ns = excluded.mtime_ns, inode = excluded.inode, settled = true, verdict = null,
       reason = null, detail = null, pipeline = null, pending_id = null, run_id = null
 where i.verdict is not null or i.run_id is null
    or exists (select from leasehold.run_outcome o where o.run_id = i.run_id and not o.reopened)
returning i.item_id
