-- Runs that have ended, and all of them; steps that are leased now; groups that are not complete.
select (select count(*) from leasehold.run_outcome where not reopened),
       (select coalesce(sum(last_run - first_run + 1), 0) from leasehold.group_span),
       (select coalesce(sum(cardinality(step_ids)), 0) from leasehold.lease),
       (select count(*) from leasehold.run_group where completed_at is null)
