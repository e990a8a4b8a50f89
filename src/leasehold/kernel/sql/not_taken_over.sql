-- Of these steps, how many still wait where a dead worker left them: nobody has leased or ended them since.
select count(*) from leasehold.ready r where r.step_id = any (%s::bigint[])
