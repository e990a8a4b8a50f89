-- Items whose pending document is stored now, each change of document kept as a version. The caller holds the items.
with moved as (
    update leasehold.item i
       set verdict = 'stored', reason = null, detail = null, document_id = u.document_id, pending_id = null,
           pipeline = u.pipeline, stored_at = leasehold.now()
      from unnest(%(items)s::bigint[], %(documents)s::bigint[], %(pipelines)b::bytea[]) u(item_id, document_id, pipeline)
     where i.item_id = u.item_id
    returning i.item_id, i.document_id
)
insert into leasehold.version (item_id, number, document_id, at)
select m.item_id, coalesce(v.number, 0) + 1, m.document_id, leasehold.now()
  from moved m
  left join lateral (select n.number, n.document_id from leasehold.version n
                      where n.item_id = m.item_id order by n.number desc limit 1) v on true
 where v.document_id is distinct from m.document_id
