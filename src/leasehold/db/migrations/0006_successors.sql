-- Successors: a finish may lease what it has itself just released.
--
-- Works with programs from 0002: they finish without, and what they release becomes ready.

-- Both take one more argument now, with a default: a worker of an earlier release finds the new ones.
drop function if exists leasehold.finish(
    bigint[], bigint[], leasehold.ending[], text[], text[], double precision[], bytea[]);
drop function if exists leasehold.end_steps(
    bigint[], bigint[], smallint[], bigint[], leasehold.ending[], text[], text[], double precision[], bytea[]);
