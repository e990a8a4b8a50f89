-- The circuit breaker of a kind: what fails in the same way many times in a row is held back, and probed.
--
-- Works with programs from 0002: their workers do not probe, and claim from a kind that is held back only what they
-- looked at before.

-- After how many errors in a row with one fingerprint its kind is held back; null: never.
alter table leasehold.workflow_step add column breaker_after smallint check (breaker_after > 0);

-- One row for each kind and resource key that has a breaker and has seen an error. open_until: no probe before; null:
-- closed. The probe lives as long as its lease does. strikes: how often it opened, or a probe failed, since it closed.
create table leasehold.breaker (
    kind         text not null,
    key          text not null,
    fingerprint  text not null,
    streak       integer not null check (streak >= 0),
    reason       text not null,
    detail       text not null,
    strikes      smallint not null default 0 check (strikes >= 0),
    opened_at    timestamptz,
    open_until   timestamptz,
    probe_token  bigint,
    probe_step   bigint,
    primary key (kind, key),
    check ((opened_at is null) = (open_until is null)),
    check ((opened_at is null) = (strikes = 0)),
    check (opened_at is not null or probe_token is null)
);

-- It takes fingerprints too, with a default: a program of an earlier release finds the new one.
drop function if exists leasehold.group_retry(bigint, text[], bigint[]);
