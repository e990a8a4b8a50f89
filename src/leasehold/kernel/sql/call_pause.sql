select isfinite(u), case when isfinite(u) then u end from leasehold.pause(%s, %s, %s, %s, %s, %s) u
