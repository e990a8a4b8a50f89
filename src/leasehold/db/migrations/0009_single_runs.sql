-- Single runs: cancelling one that is leased among others, and putting one off before it has begun.
--
-- Works with programs from 0002: their workers notice a single cancelled run when they report on it, and not before.

-- Steps that were taken out of this lease although it goes on: the next heartbeat tells its holder.
alter table leasehold.lease add column cancelled bigint[] not null default '{}';

-- As in ready: nothing of its run has been claimed yet.
alter table leasehold.delayed add column unstarted boolean not null default false;

-- It returns one column more; a worker of an earlier release asks for the others by name.
drop function if exists leasehold.holder_heartbeat(bigint[]);
