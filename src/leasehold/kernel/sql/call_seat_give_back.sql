select leasehold.seat_give_back(%s, %s, %s)
