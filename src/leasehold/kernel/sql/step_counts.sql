-- Where the steps of these groups stand, by kind: waiting ones counted from their tables, ended ones from outcomes.
select l.kind, s.state, count(*)
  from leasehold.step_state s
  join leasehold.lane l using (lane_id)
 where l.group_id = any (%s)
 group by l.kind, s.state
