-- Items that are skipped, with the reason. What is not settled keeps the document it had: the next scan decides. The
-- caller holds the items.
update leasehold.item i
   set verdict = 'skipped', reason = u.reason, detail = u.detail, settled = u.settled and i.settled,
       media_type = coalesce(u.media_type, i.media_type), pipeline = u.pipeline, pending_id = null,
       document_id = case when u.settled then null else i.document_id end
  from unnest(%(items)s::bigint[], %(reasons)s::text[], %(details)s::text[], %(settled)s::boolean[],
              %(types)s::text[], %(pipelines)b::bytea[]) u(item_id, reason, detail, settled, media_type, pipeline)
 where i.item_id = u.item_id
