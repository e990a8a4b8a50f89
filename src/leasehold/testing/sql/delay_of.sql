select extract(epoch from ready_at - leasehold.now()) from leasehold.delayed where step_id = %s
