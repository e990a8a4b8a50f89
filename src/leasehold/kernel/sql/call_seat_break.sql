select token, holder_id, heard_s, steps, verdict from leasehold.seat_break(%s, %s, %s, %s, %s)
