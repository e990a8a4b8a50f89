select group_id from leasehold.run_group where failed > 0 order by group_id
