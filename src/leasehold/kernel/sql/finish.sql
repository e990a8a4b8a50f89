-- finish: record how steps of one or many leases ended. May be sent again.
--
-- Arrays run in parallel to p_steps; an empty p_ends means that all succeeded, and any of the others may be empty. With
-- p_next (of finish_and_lease) steps that this releases may be leased to their holder at once.
--
-- Returns  one row for each pair that was not accepted now: its ordinal (from 1) and 'already accepted' (this very end
--          was recorded under this token before) or 'lost' (the lease is somebody else's, or nobody's, by now). A pair
--          that is given twice is the caller's mistake and raises; nothing is recorded then. With p_next a row 'released'
--          without an ordinal says that steps became ready.
-- Cost     a page of 500 successes 5 ms, in chains of five 6 ms; see docs/decisions for the measurements.
-- Blocks   leases in token order, then as end_steps. Once in a transaction: a second call would lock out of order.
-- Fencing  each pair is accepted only if the lease of that token lists that step now. Refusals are counted.
create or replace function leasehold.finish(
    p_tokens bigint[], p_steps bigint[], p_ends leasehold.ending[], p_reasons text[], p_details text[],
    p_delays double precision[], p_keys bytea[], p_next jsonb default null)
returns table (ord integer, verdict text)
language plpgsql set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_held record;
    v_alone bigint[] := '{}';
    v_released boolean;
begin
    if p_ends = '{}' then
        p_ends := array_fill('succeeded'::leasehold.ending, array[cardinality(p_steps)]);
    elsif 'reopened' = any (p_ends) then
        raise exception using errcode = '22023', message = 'reopened is not a way in which a step ends';
    end if;
    select h.ords, h.attempts, h.lanes into v_held from leasehold.held_steps(p_tokens, p_steps) h;
    if v_held.ords is null or cardinality(v_held.ords) < cardinality(p_steps) then
        return query
        select u.ord::integer,
               case when exists (select from leasehold.outcome o
                                  where o.step_id = u.step_id and o.token = u.token)
                    then 'already accepted' else 'lost' end
          from unnest(p_tokens, p_steps) with ordinality u(token, step_id, ord)
         where v_held.ords is null or u.ord <> all (v_held.ords);
        insert into leasehold.refusal (at, verb, token, steps)
        select leasehold.now(), 'finish', u.token, count(*)
          from unnest(p_tokens, p_steps) with ordinality u(token, step_id, ord)
         where (v_held.ords is null or u.ord <> all (v_held.ords))
           and not exists (select from leasehold.outcome o where o.step_id = u.step_id and o.token = u.token)
         group by u.token;
        if v_held.ords is null then
            return;
        end if;
        select array_agg(u.token order by u.ord), array_agg(u.step_id order by u.ord), array_agg(u.ended order by u.ord),
               array_agg(u.reason order by u.ord), array_agg(u.detail order by u.ord),
               array_agg(u.delay_s order by u.ord), array_agg(u.key order by u.ord)
          into p_tokens, p_steps, p_ends, p_reasons, p_details, p_delays, p_keys
          from unnest(p_tokens, p_steps, p_ends, p_reasons, p_details, p_delays, p_keys)
               with ordinality u(token, step_id, ended, reason, detail, delay_s, key, ord)
         where u.ord = any (v_held.ords);
    end if;
    if p_ends && '{error,snoozed}' then
        v_alone := array(select l.step_ids[1] from leasehold.lease l where l.token = any (p_tokens) and l.alone);
    end if;
    perform leasehold.shrink_leases(p_tokens, p_steps);
    v_released := leasehold.end_steps(p_steps, p_tokens, v_held.attempts, v_held.lanes, p_ends, p_reasons, p_details,
                                      p_delays, p_keys, p_next);
    if v_released and p_next is not null then
        return query select null::integer, 'released';
    end if;
    if cardinality(v_alone) > 0 then
        update leasehold.delayed d set alone = true where d.step_id = any (v_alone);
    end if;
end
$$;
