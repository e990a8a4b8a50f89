select set_config('leasehold.probe', %s, false)
