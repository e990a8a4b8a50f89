-- A path that somebody else has taken meanwhile is left alone: the next scan sees both.
update leasehold.item i
   set path = u.new, size = u.size, mtime_ns = u.mtime_ns, inode = u.inode, settled = i.settled and u.settled
  from unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::boolean[])
       u(old, new, size, mtime_ns, inode, settled)
 where i.source_id = %s and i.path = u.old
   and not exists (select from leasehold.item t where t.source_id = i.source_id and t.path = u.new)
