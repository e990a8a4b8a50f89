insert into leasehold_test.effect (step_id, token) select * from unnest(%s::bigint[], %s::bigint[])
