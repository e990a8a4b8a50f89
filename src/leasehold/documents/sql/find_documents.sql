-- After upsert_documents, in a statement of its own: it sees what others have just committed.
select d.sha256, d.media_type, d.document_id
  from unnest(%b::bytea[], %s::text[]) u(sha256, media_type)
  join leasehold.document d on d.sha256 = u.sha256 and d.media_type = u.media_type
