truncate leasehold.run_group, leasehold.group_completion, leasehold.group_span, leasehold.group_delta, leasehold.lane,
         leasehold.run, leasehold.payload, leasehold.step, leasehold.outcome, leasehold.run_outcome, leasehold.blocked,
         leasehold.delayed, leasehold.ready, leasehold.lease, leasehold.claim, leasehold.event, leasehold.refusal,
         leasehold.holder, leasehold.pause, leasehold.bound, leasehold.breaker, leasehold.resource, leasehold.seat, leasehold.seat_line,
         leasehold.seat_break
