truncate leasehold.group_completion, leasehold.group_span, leasehold.group_delta, leasehold.hook_call,
         leasehold.run, leasehold.payload, leasehold.step, leasehold.outcome, leasehold.run_outcome, leasehold.blocked,
         leasehold.delayed, leasehold.ready, leasehold.lease, leasehold.claim, leasehold.event, leasehold.refusal,
         leasehold.holder, leasehold.pause, leasehold.bound, leasehold.breaker, leasehold.seat, leasehold.seat_line,
         leasehold.seat_break, leasehold.group_setting, leasehold.step_result, leasehold.checkpoint,
         leasehold.group_pruned, leasehold.pruned;
delete from leasehold.lane where hook_id is null;  -- what was registered stays, its hooks' lanes too
delete from leasehold.run_group;
delete from leasehold.resource
