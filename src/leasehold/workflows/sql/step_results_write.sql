insert into leasehold.step_result (step_id, result)
select u.step_id, u.result::jsonb from unnest(%s::bigint[], %s::text[]) u(step_id, result)
on conflict (step_id) do update set result = excluded.result
