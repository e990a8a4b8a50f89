create schema if not exists leasehold;
create table if not exists leasehold.migration (
    number      integer primary key,
    name        text not null,
    checksum    text not null,
    applied_at  timestamptz not null default clock_timestamp()
)
