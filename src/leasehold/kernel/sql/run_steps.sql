select v.step_id, l.kind, v.state from leasehold.step_state v join leasehold.lane l using (lane_id)
 where v.step_id >= %(run)s::bigint * 1024 and v.step_id < (%(run)s::bigint + 1) * 1024
 order by v.step_id
