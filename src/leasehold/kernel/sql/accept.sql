-- accept: lock these leases and say which of the (token, step) pairs are still held.
--
-- Returns  the ordinals (from 1) of the pairs that are held; until the transaction ends nobody can take them away, so
--          effects written now commit together with the finish that follows.
-- Cost     as held_steps.
-- Blocks   until other writers of the same leases have committed.
-- Fencing  a pair that is missing from the answer is lost: its effects must not be written.
create or replace function leasehold.accept(p_tokens bigint[], p_steps bigint[])
returns integer[] language plpgsql as $$
begin
    return coalesce((select h.ords from leasehold.held_steps(p_tokens, p_steps) h), '{}');
end
$$;
