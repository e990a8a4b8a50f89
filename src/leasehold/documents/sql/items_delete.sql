delete from leasehold.item where source_id = %s and path = any (%s::text[]) returning document_id
