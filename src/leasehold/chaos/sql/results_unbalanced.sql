-- What steps gave that have not succeeded: at most 20.
select r.step_id from leasehold.step_result r
 where not exists (select from leasehold.outcome o where o.step_id = r.step_id and o.ended = 'succeeded')
 order by r.step_id limit 20
