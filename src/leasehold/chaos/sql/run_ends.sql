select ended::text, count(*) from leasehold.run_outcome where not reopened group by ended
