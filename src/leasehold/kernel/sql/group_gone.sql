-- How many runs of a group have left by pruning, and when the last of them did; no row when none has.
select p.succeeded + p.failed + p.cancelled, p.at from leasehold.group_pruned p where p.group_id = %s
