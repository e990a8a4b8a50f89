-- Lock a source's items at these paths, in id order as everybody does.
select from leasehold.item i where i.source_id = %s and i.path = any (%s::text[]) order by i.item_id for update
