delete from leasehold.oddity where source_id = %s
