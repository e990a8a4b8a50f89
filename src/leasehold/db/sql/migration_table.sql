create schema if not exists leasehold;
create table if not exists leasehold.migration (
    number      integer primary key,
    name        text not null,
    checksum    text not null,
    applied_at  timestamptz not null default clock_timestamp()
);
-- oldest: the newest migration of the oldest program that may work with this one. release: what functions came with.
alter table leasehold.migration add column if not exists oldest integer, add column if not exists release text
