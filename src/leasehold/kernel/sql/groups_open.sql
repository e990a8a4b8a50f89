select group_id from leasehold.run_group where completed_at is null order by group_id limit 100
