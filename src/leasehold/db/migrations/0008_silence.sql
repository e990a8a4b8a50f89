-- Silence: living holders that claim nothing while work waits, and why.
--
-- Works with programs from 0002: they write none.

create table leasehold.silence (
    holder_id  bigint primary key,
    since      timestamptz not null,
    reason     text not null check (reason <> '')
);
