-- Where the steps of these groups stand that have not ended, by lane; with what was added and ended this gives the rest.
select l.kind, w.state, sum(w.n)::bigint
  from leasehold.lane l
  join (select b.lane_id, 'blocked' as state, count(*) as n from leasehold.blocked b group by b.lane_id
        union all select d.lane_id, 'delayed', count(*) from leasehold.delayed d group by d.lane_id
        union all select r.lane_id, 'ready', count(*) from leasehold.ready r group by r.lane_id
        union all select e.lane_id, 'leased', sum(cardinality(e.step_ids)) from leasehold.lease e group by e.lane_id) w
    on w.lane_id = l.lane_id
 where l.group_id = any (%s::bigint[])
 group by l.kind, w.state
