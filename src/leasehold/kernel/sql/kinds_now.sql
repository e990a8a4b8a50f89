-- Every kind of step that a workflow names, with where its steps stand now.
with standing as (
    select r.lane_id, 'ready' as state, count(*) as n from leasehold.ready r group by r.lane_id
    union all select d.lane_id, 'delayed', count(*) from leasehold.delayed d group by d.lane_id
    union all select l.lane_id, 'leased', sum(cardinality(l.step_ids)) from leasehold.lease l group by l.lane_id)
select k.kind, coalesce(sum(s.n) filter (where s.state = 'ready'), 0)::bigint,
       coalesce(sum(s.n) filter (where s.state = 'delayed'), 0)::bigint,
       coalesce(sum(s.n) filter (where s.state = 'leased'), 0)::bigint
  from (select distinct w.kind from leasehold.workflow_step w) k
  left join (standing s join leasehold.lane l using (lane_id)) using (kind)
 group by k.kind order by k.kind
