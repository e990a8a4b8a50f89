select source_id from leasehold.source where source_id = %s for update
