-- Successes without their effect, effects without their success, effects done twice.
select coalesce(e.step_id, o.step_id) as step_id, coalesce(e.token, o.token) as token, count(*)
  from leasehold_test.effect e
  full join (select * from leasehold.outcome where ended = 'succeeded') o using (step_id, token)
 group by 1, 2
having count(*) <> 1 or count(e.step_id) <> count(o.step_id)
