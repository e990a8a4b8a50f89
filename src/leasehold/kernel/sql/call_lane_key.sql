select leasehold.lane_key(%s, %s, %s)
