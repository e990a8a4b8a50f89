-- What validation read: the stat of the bytes themselves, and their document. The caller holds the items.
update leasehold.item i
   set size = u.size, mtime_ns = u.mtime_ns, inode = u.inode, settled = u.settled, media_type = u.media_type,
       pending_id = u.document_id, pipeline = u.pipeline
  from unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::boolean[], %s::text[], %s::bigint[],
              %b::bytea[]) u(item_id, size, mtime_ns, inode, settled, media_type, document_id, pipeline)
 where i.item_id = u.item_id
