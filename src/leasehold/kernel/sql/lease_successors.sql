-- lease_successors: lease steps that the calling transaction has itself just released, instead of making them ready.
--
-- p_next is what the holder said with its finish: {"holder": id, "number": n, "rooms": [free slots of each pool],
-- "kinds": {kind: [its pool (from 0), most steps of one lease, seconds until its deadline]}}.
--
-- Returns  the steps that are leased now; the caller makes the others ready. Taken are steps of kinds with room, of
--          groups that are not cancelled, and of lanes that are not paused, held back or behind a resource: its seats come before
--          the runs in the order of locks, and this comes after.
-- Cost     one look at the lanes, of which a finish has few, and one lease row for each that is taken from.
-- Blocks   never: nobody else can see these steps yet.
-- Fencing  the caller has locked the holder, so no reaper has passed it. The lease stands under minus the finish's
--          number, where the same finish finds it when it is asked again.
create or replace function leasehold.lease_successors(p_next jsonb, p_steps bigint[], p_lanes bigint[])
returns bigint[] language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_rooms integer[] := array(select r.room::integer
                                 from jsonb_array_elements_text(p_next -> 'rooms') with ordinality r(room, ord)
                                order by r.ord);
    v_leased bigint[] := '{}';
    v_mine bigint[];
    v_pool integer;
    v record;
begin
    for v in
        select l.lane_id, l.kind, l.subscribed, p_next -> 'kinds' -> l.kind as terms
          from (select distinct u.lane_id from unnest(p_lanes) u(lane_id)) d
          join leasehold.lane l on l.lane_id = d.lane_id
          join leasehold.run_group g on g.group_id = l.group_id
         where p_next -> 'kinds' ? l.kind and g.cancelled_at is null
           and l.key is null and not exists (select from leasehold.resource r where r.key = 'kind:' || l.kind)
           and not exists (select from leasehold.pause p
                            where p.until > v_now
                              and (p.what, p.name) in (('kind', l.kind), ('source', g.source),
                                                       ('group', l.group_id::text)))
           and not exists (select from leasehold.breaker b
                            where b.kind = l.kind and b.key = '' and b.opened_at is not null)
         order by l.stage desc, l.lane_id
    loop
        v_pool := (v.terms ->> 0)::integer + 1;
        continue when v_rooms[v_pool] < 1;
        v_mine := array(select u.step_id from unnest(p_steps, p_lanes) u(step_id, lane_id)
                         where u.lane_id = v.lane_id order by u.step_id
                         limit least(v_rooms[v_pool], (v.terms ->> 1)::integer));
        insert into leasehold.lease
            (token, holder_id, claim_no, lane_id, kind, alone, claimed_at, deadline, step_ids, attempts)
        values (nextval('leasehold.token_seq'), (p_next ->> 'holder')::bigint, -(p_next ->> 'number')::bigint,
                v.lane_id, v.kind, false, v_now, v_now + make_interval(secs => (v.terms ->> 2)::double precision),
                v_mine, array_fill(1::smallint, array[cardinality(v_mine)]));
        v_rooms[v_pool] := v_rooms[v_pool] - cardinality(v_mine);
        v_leased := v_leased || v_mine;
        if v.subscribed is not null then
            perform leasehold.tell_leased(v.lane_id, v_mine, array_fill(1::smallint, array[cardinality(v_mine)]), null);
        end if;
    end loop;
    return v_leased;
end
$$;
