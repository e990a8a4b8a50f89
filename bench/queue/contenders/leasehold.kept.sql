select count(*) from leasehold.outcome where ended = 'succeeded'
