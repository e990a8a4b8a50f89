select path, verdict, reason, detail, remedy from leasehold.oddity where source_id = %s
