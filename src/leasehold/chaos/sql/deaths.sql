select count(*) from leasehold.holder where end_reason = 'reaped'
