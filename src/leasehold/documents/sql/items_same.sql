-- Items whose bytes were read again and are what is stored: settled, at the stat of that reading.
update leasehold.item i set settled = u.settled, size = u.size, mtime_ns = u.mtime_ns, inode = u.inode
  from unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::boolean[]) u(path, size, mtime_ns, inode, settled)
 where i.source_id = %s and i.path = u.path and i.verdict = 'stored'
