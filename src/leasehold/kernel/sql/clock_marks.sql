-- The database's time now, and the latest time that is written down anywhere that work goes by.
select leasehold.now(),
       greatest((select max(h.heartbeat_at) from leasehold.holder h),
                (select max(e.claimed_at) from leasehold.lease e),
                (select max(e.at) from (select x.at from leasehold.event x order by x.event_id desc limit 100) e))
