select s.uri, v.path, v.state, v.reason, v.run_id, c.name
  from leasehold.item_state v
  join leasehold.source s using (source_id)
  join leasehold.collection c using (collection_id)
 where v.path = %(path)s or v.path like %(ending)s
    or replace(s.uri, 'file://', '') || '/' || v.path = %(path)s
    or replace(s.uri, 'file://', '') || '/' || v.path like %(ending)s or replace(s.uri, 'file://', '') = %(path)s
 order by s.source_id desc, v.path limit 10
