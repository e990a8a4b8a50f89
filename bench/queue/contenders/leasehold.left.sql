select (select count(*) from leasehold.ready) + (select count(*) from leasehold.delayed)
     + (select coalesce(sum(cardinality(step_ids)), 0) from leasehold.lease)
