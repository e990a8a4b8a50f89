update leasehold.item i set run_id = %s + u.ord - 1
  from unnest(%s::bigint[]) with ordinality u(item_id, ord) where i.item_id = u.item_id
