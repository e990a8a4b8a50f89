create schema leasehold_test;
create table leasehold_test.clock (at timestamptz not null);
revoke all on schema leasehold_test from public;
