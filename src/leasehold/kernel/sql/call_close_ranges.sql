select runs, events from leasehold.close_ranges(%s, %s)
