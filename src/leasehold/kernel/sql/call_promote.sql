select moved, next_s from leasehold.promote(%s)
