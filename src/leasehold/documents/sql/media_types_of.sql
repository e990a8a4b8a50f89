select distinct coalesce(media_type, '') from leasehold.item where source_id = %s and path = any (%s::text[])
