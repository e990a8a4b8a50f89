select verdict, token, place from leasehold.seat_take(%s, %s, %s)
