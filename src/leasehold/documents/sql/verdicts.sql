-- What has become of everything the sources hold: items by state and reason, and what the last scan would not read.
select source_id, state, reason, count(*) from (
    select v.source_id, v.state,
           case when v.state = 'skipped' then v.reason
                when v.state = 'failed' then (
                    select f.reason from leasehold.outcome f
                     where f.step_id >= v.run_id * 1024 and f.step_id < (v.run_id + 1) * 1024 and f.ended = 'failed'
                     order by f.token desc limit 1) end as reason
      from leasehold.item_state v where v.source_id = any (%(sources)s::bigint[])
    union all
    select o.source_id, o.verdict, o.reason from leasehold.oddity o where o.source_id = any (%(sources)s::bigint[])) a
 group by source_id, state, reason
 order by source_id, state, reason
