select alone from leasehold.ready where step_id = %(step)s
union all select alone from leasehold.delayed where step_id = %(step)s
union all select alone from leasehold.lease where %(step)s = any (step_ids)
