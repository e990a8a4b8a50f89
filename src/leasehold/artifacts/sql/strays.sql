-- Objects that nothing refers to. One whose writer may still be at work (its lease is there, or it was noted not long
-- ago) is left alone, and so is one that a row refers to, whatever is noted.
select s.store_id, s.key
  from leasehold.artifact_stray s
 where (s.store_id, s.key) > (%(store)s, %(key)s)
   and (s.token is null
        or (s.since < leasehold.now() - make_interval(secs => %(older)s)
            and not exists (select from leasehold.lease l where l.token = s.token)))
   and not exists (select from leasehold.artifact a where a.store_id = s.store_id and a.key = s.key)
 order by s.store_id, s.key
 limit %(limit)s
