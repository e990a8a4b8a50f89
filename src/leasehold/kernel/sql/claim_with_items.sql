-- claim_with_items: claim, and what its leases' steps are to be done with, in one round trip.
--
-- Returns  as claim; of the lanes with p_items[i] also the items, as items_of does. They are read after the claim, by a
--          statement of its own: the calling statement is older than a run that was added while it waited.
-- Cost     claim, and items_of.
-- Blocks   as claim.
-- Fencing  as claim.
create or replace function leasehold.claim_with_items(
    p_holder_id bigint, p_claim_no bigint, p_lanes bigint[], p_limits integer[], p_hints bigint[],
    p_deadlines_s double precision[], p_items boolean[])
returns table (token bigint, lane_id bigint, step_ids bigint[], attempts smallint[], last_position bigint,
               alone boolean, items jsonb)
language plpgsql set jit = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
    for token, lane_id, step_ids, attempts, last_position, alone in
        select c.token, c.lane_id, c.step_ids, c.attempts, c.last_position, c.alone
          from leasehold.claim(p_holder_id, p_claim_no, p_lanes, p_limits, p_hints, p_deadlines_s) c
    loop
        items := null;
        if token is not null and p_items[array_position(p_lanes, lane_id)] then
            items := leasehold.items_of(step_ids);
        end if;
        return next;
    end loop;
end
$$;
