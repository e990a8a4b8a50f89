select n, (step_id & 1023)::integer, value from leasehold_chaos.effect order by n, step_id, token
