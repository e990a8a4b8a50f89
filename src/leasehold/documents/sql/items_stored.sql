-- Items whose pending document is stored now, each change of document kept as a version. Returns what they had before.
with old as (
    select i.item_id, i.document_id from leasehold.item i where i.item_id = any (%(items)s::bigint[])
     order by i.item_id for update
), moved as (
    update leasehold.item i
       set verdict = 'stored', reason = null, detail = null, document_id = u.document_id, pending_id = null,
           pipeline = u.pipeline
      from unnest(%(items)s::bigint[], %(documents)s::bigint[], %(pipelines)b::bytea[]) u(item_id, document_id, pipeline)
     where i.item_id = u.item_id
    returning i.item_id, i.document_id
), versions as (
    insert into leasehold.version (item_id, number, document_id, at)
    select m.item_id, 1 + coalesce((select max(v.number) from leasehold.version v where v.item_id = m.item_id), 0),
           m.document_id, leasehold.now()
      from moved m join old using (item_id) where m.document_id is distinct from old.document_id
)
select m.item_id, old.document_id from moved m join old using (item_id)
 where old.document_id is distinct from m.document_id
