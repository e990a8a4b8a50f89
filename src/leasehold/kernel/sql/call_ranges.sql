select range, bytes, closed from leasehold.ranges()
