-- Successes without their effect, effects without their success, effects written twice: at most 20 of them.
select coalesce(e.step_id, o.step_id), coalesce(e.token, o.token), count(e.step_id), count(distinct o.token)
  from leasehold_chaos.effect e
  full join (select step_id, token from leasehold.outcome where ended = 'succeeded') o using (step_id, token)
 group by 1, 2
having count(e.step_id) <> 1 or count(distinct o.token) <> 1
 order by 1, 2 limit 20
