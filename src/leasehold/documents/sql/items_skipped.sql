-- Items that are skipped, with the reason. Returns the documents they had stored before, which may be unused now.
with old as (
    select i.item_id, i.document_id from leasehold.item i where i.item_id = any (%(items)s::bigint[])
     order by i.item_id for update
)
update leasehold.item i
   set verdict = 'skipped', reason = u.reason, detail = u.detail, settled = u.settled and i.settled,
       media_type = coalesce(u.media_type, i.media_type), pipeline = u.pipeline, document_id = null, pending_id = null
  from unnest(%(items)s::bigint[], %(reasons)s::text[], %(details)s::text[], %(settled)s::boolean[],
              %(types)s::text[], %(pipelines)b::bytea[]) u(item_id, reason, detail, settled, media_type, pipeline)
  join old using (item_id)
 where i.item_id = u.item_id
returning i.item_id, old.document_id
