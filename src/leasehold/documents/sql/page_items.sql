-- What the steps of these runs need to know. A run whose item was deleted, or has a newer run, has no row. The last two
-- columns: the collection's parameters now, and the mark of those under which the run was started.
select r.run_id, i.item_id, i.path, s.root, s.collection_id, i.pending_id, d.sha256, d.media_type, i.document_id,
       coalesce((s.options ->> 'max_bytes')::bigint, 100000000), c.parameters::text, p.item ->> 'of'
  from unnest(%s::bigint[]) r(run_id)
  join leasehold.payload p on p.run_id = r.run_id
  join leasehold.item i on i.item_id = (p.item ->> 'item')::bigint and i.run_id = r.run_id
  join leasehold.source s on s.source_id = i.source_id
  join leasehold.collection c on c.collection_id = s.collection_id
  left join leasehold.document d on d.document_id = i.pending_id
