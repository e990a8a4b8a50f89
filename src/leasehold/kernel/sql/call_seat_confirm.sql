select leasehold.seat_confirm(%s, %s, %s)
