-- holders_silent: write down why each of p_holders claims nothing while work waits; a null reason takes it back.
--
-- Returns  nothing. A reason that is there already keeps its time. What ended holders have left goes.
-- Cost     a few rows. Called when a reason changes, not with every look.
-- Blocks   only for the same note of the same holder; rows are written in the holders' order.
-- Fencing  none needed: a note decides nothing. A holder that has ended gets none.
create or replace function leasehold.holders_silent(p_holders bigint[], p_reasons text[])
returns void language plpgsql as $$
begin
    delete from leasehold.silence s
     where not exists (select from leasehold.holder h where h.holder_id = s.holder_id and h.ended_at is null)
        or s.holder_id in (select u.holder_id from unnest(p_holders, p_reasons) u(holder_id, reason)
                            where u.reason is null);
    insert into leasehold.silence as s (holder_id, since, reason)
    select h.holder_id, leasehold.now(), u.reason
      from unnest(p_holders, p_reasons) u(holder_id, reason)
      join leasehold.holder h on h.holder_id = u.holder_id and h.ended_at is null
     where u.reason is not null
     order by h.holder_id
        on conflict (holder_id) do update
       set reason = excluded.reason,
           since = case when s.reason = excluded.reason then s.since else excluded.since end;
end
$$;
