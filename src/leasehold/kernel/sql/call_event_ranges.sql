select range, bytes, closed, extract(epoch from leasehold.now() - newest)::float8, pending from leasehold.event_ranges()
