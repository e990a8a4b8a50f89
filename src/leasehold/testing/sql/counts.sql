select n from (
    select 'blocked' as name, count(*) as n from leasehold.blocked
    union all select 'delayed' as name, count(*) as n from leasehold.delayed
    union all select 'ready' as name, count(*) as n from leasehold.ready
    union all select 'lease' as name, count(*) as n from leasehold.lease
    union all select 'claim' as name, count(*) as n from leasehold.claim
    union all select 'event' as name, count(*) as n from leasehold.event
    union all select 'refusal' as name, count(*) as n from leasehold.refusal
    union all select 'run' as name, count(*) as n from leasehold.run
    union all select 'run_group' as name, count(*) as n from leasehold.run_group
    union all select 'outcome' as name, count(*) as n from leasehold.outcome
    union all select 'run_outcome' as name, count(*) as n from leasehold.run_outcome
    union all select 'group_delta' as name, count(*) as n from leasehold.group_delta
    union all select 'group_completion' as name, count(*) as n from leasehold.group_completion
    union all select 'holder' as name, count(*) as n from leasehold.holder
    union all select 'step' as name, count(*) as n from leasehold.step
    union all select 'group_span' as name, count(*) as n from leasehold.group_span
    union all select 'breaker' as name, count(*) as n from leasehold.breaker
    union all select 'workflow' as name, count(*) as n from leasehold.workflow
    union all select 'hook_call' as name, count(*) as n from leasehold.hook_call
    union all select 'parameter_set' as name, count(*) as n from leasehold.parameter_set
    union all select 'step_config' as name, count(*) as n from leasehold.step_config
    union all select 'step_result' as name, count(*) as n from leasehold.step_result
    union all select 'checkpoint' as name, count(*) as n from leasehold.checkpoint
    union all select 'pause' as name, count(*) as n from leasehold.pause
) counted where name = %s
