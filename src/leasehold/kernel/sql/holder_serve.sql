-- holder_serve: a worker says which kinds it serves.
--
-- Returns  nothing. An ended holder is left as it is.
-- Cost     one update of one row, once in a worker's life.
-- Blocks   waits for a claim or heartbeat of the same holder.
-- Fencing  none needed: what is said here decides nothing, it answers why a kind is not claimed.
create or replace function leasehold.holder_serve(p_holder_id bigint, p_kinds text[])
returns void language plpgsql as $$
begin
    update leasehold.holder h set kinds = p_kinds where h.holder_id = p_holder_id and h.ended_at is null;
end
$$;
