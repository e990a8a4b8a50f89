update leasehold.item i
   set path = u.new, size = u.size, mtime_ns = u.mtime_ns, inode = u.inode, settled = i.settled and u.settled
  from unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::boolean[])
       u(old, new, size, mtime_ns, inode, settled)
 where i.source_id = %s and i.path = u.old
