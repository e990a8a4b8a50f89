select leasehold.event_subscribe(%s, %s::text[])
