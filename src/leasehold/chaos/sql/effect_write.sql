-- The value of a step hashes those of the steps it waited for, as they are in the database at this moment. The last
-- array has a bit for each parent.
insert into leasehold_chaos.effect (step_id, token, n, value)
select s.step_id, s.token, s.n,
       left(encode(sha256(convert_to(
           s.n || '.' || (s.step_id & 1023) || ':' || coalesce(
               (select string_agg(e.value, ',' order by e.step_id, e.token)
                  from generate_series(0, 9) parent(ix)
                  join leasehold_chaos.effect e on e.step_id = (s.step_id & ~1023::bigint) + parent.ix
                 where s.parents >> parent.ix & 1 = 1), ''),
           'UTF8')), 'hex'), 16)
  from unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::integer[]) s(step_id, token, n, parents)
