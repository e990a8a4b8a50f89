-- step_state: where every step stands, by the one table it stands in; read by why, status, doctor, tests and people.
create or replace view leasehold.step_state as
select s.step_id, s.lane_id, 'blocked' as state, null::bigint as token, null::smallint as attempt
  from leasehold.blocked b join leasehold.step s using (step_id)
union all
select d.step_id, d.lane_id, 'delayed', null, d.attempt from leasehold.delayed d
union all
select r.step_id, r.lane_id, 'ready', null, r.attempt from leasehold.ready r
union all
select u.step_id, l.lane_id, 'leased', l.token, u.attempt
  from leasehold.lease l, unnest(l.step_ids, l.attempts) u(step_id, attempt)
union all
select o.step_id, s.lane_id, o.ended::text, o.token, o.attempt
  from (select distinct on (step_id) * from leasehold.outcome order by step_id, token desc) o
  join leasehold.step s using (step_id)
 where o.ended in ('succeeded', 'failed', 'cancelled');
