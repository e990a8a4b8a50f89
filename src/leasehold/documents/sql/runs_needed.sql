-- Runs of these ids that are the newest of an item without a verdict of its own: it failed, was called off, or waits.
select i.run_id from leasehold.item i where i.verdict is null and i.run_id >= %s and i.run_id < %s order by i.run_id
