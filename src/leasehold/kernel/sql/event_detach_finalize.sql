alter table leasehold.event detach partition leasehold.event_pRANGE finalize
