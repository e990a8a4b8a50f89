update leasehold_test.clock set at = at + make_interval(secs => %s) returning at
