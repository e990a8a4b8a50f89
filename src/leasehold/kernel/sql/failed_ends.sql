-- Which of these ends stand as failed. By key, a page at a time.
select o.step_id, o.token
  from unnest(%s::bigint[], %s::bigint[]) u(step_id, token)
  join leasehold.outcome o on o.step_id = u.step_id and o.token = u.token
 where o.ended = 'failed'
