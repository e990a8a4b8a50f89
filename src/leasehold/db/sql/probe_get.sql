select current_setting('leasehold.probe', true)
