-- seats_free: which free seats of a resource may be taken now, by leases (p_leases) or by holders without a step.
--
-- The two sides take turns. A seat that one side had last is kept for the other one, if that waits, for 5 seconds; so
-- neither a stream of steps nor one of lock takers shuts the other out, and a side that does not come costs no more
-- than these seconds. Leases keep back no more seats than there are holders in the line that still ask.
--
-- Returns  the seats' numbers; none while the resource is paused, or is not there.
-- Cost     one pass over the resource's seats and its line; for holders also a look whether steps wait behind it.
-- Blocks   never; it locks nothing, so who takes one must look again under the seat's lock.
-- Fencing  none.
create or replace function leasehold.seats_free(p_key text, p_leases boolean)
returns integer[] language plpgsql stable set jit = off set enable_seqscan = off as $$
declare
    c_kept constant interval := '5 seconds';
    v_now constant timestamptz := leasehold.now();
    v_kept bigint := 0;
begin
    if exists (select from leasehold.pause p where p.what = 'limit' and p.name = p_key and p.until > v_now) then
        return '{}';
    end if;
    if p_leases then
        select count(*) into v_kept
          from leasehold.seat_line w join leasehold.holder h on h.holder_id = w.holder_id
         where w.key = p_key and w.asked_at > v_now - c_kept and h.ended_at is null and h.expires_at > v_now;
    elsif exists (select from leasehold.run_group g join leasehold.lane l on l.group_id = g.group_id
                   where g.completed_at is null and g.cancelled_at is null
                     and (l.key = p_key or 'kind:' || l.kind = p_key)
                     and not exists (select from leasehold.pause p
                                      where p.until > v_now and (p.what, p.name) in
                                            (('kind', l.kind), ('source', g.source), ('group', l.group_id::text)))
                     and exists (select from leasehold.ready r where r.lane_id = l.lane_id)) then
        v_kept := 2147483647;
    end if;
    return array(
        select s.ix
          from (select x.ix, x.leased = p_leases and x.since > v_now - c_kept and x.token > 0 as others,
                       row_number() over (partition by x.leased = p_leases and x.since > v_now - c_kept and x.token > 0
                                          order by x.ix) as nth
                  from leasehold.seat x where x.key = p_key and x.holder_id is null) s
         where not s.others or s.nth > v_kept
         order by s.ix);
end
$$;
