-- The newest groups: those that are open, or all; of one source, or of all.
select g.group_id from leasehold.run_group g
 where (%(ended)s or g.completed_at is null) and (%(source)s::text is null or g.source = %(source)s)
 order by g.group_id desc limit %(limit)s
