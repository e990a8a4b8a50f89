-- Which of these groups are of these sources.
select distinct y.group_id from leasehold.sync y where y.source_id = any (%s::bigint[]) and y.group_id = any (%s::bigint[])
