select ended::text from leasehold.run_outcome where run_id = %s and not reopened order by round desc limit 1
