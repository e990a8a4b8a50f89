-- Announce documents in order; returns those that must be written. ON CONFLICT locks the others' rows as well.
insert into leasehold.collection_document as d (collection_id, document_id, recipe, chunks, title, notes, stored_at)
select u.collection_id, u.document_id, u.recipe, u.chunks, u.title, u.notes, leasehold.now()
  from unnest(%b::bigint[], %b::bigint[], %b::bytea[], %b::integer[], %s::text[], %s::text[])
       u(collection_id, document_id, recipe, chunks, title, notes)
 order by u.collection_id, u.document_id
on conflict (collection_id, document_id) do update
   set recipe = excluded.recipe, chunks = excluded.chunks, title = excluded.title, notes = excluded.notes,
       stored_at = excluded.stored_at
 where d.recipe <> excluded.recipe
returning d.collection_id, d.document_id
