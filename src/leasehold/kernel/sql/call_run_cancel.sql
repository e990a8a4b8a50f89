select ended, taken from leasehold.run_cancel(%s::bigint[], %s)
