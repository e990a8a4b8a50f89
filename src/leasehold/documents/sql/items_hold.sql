-- Lock the items that these runs still have, in id order, and say which document each has stored now. An item that was
-- deleted or has a newer run is missing.
select i.item_id, i.document_id
  from unnest(%s::bigint[], %s::bigint[]) u(item_id, run_id)
  join leasehold.item i on i.item_id = u.item_id and i.run_id = u.run_id
 order by i.item_id for no key update of i
