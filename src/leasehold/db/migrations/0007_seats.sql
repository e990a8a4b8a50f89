-- Seats: places at resources. A resource lock is a resource with one seat; a limit has more.
--
-- Seats are rows made beforehand, so taking one inserts nothing, and usage is counted from them. A free seat is a row
-- without a holder; it remembers its last token, and whether a lease had it. Keys are compared byte by byte, so that
-- every server and every client has them in one order.
--
-- Works with programs from 0002: their claims take seats too, as the functions do; they only look at full lanes in vain.

create table leasehold.resource (
    key         text collate "C" primary key check (key ~ '^[a-z][a-z0-9_]*:.' and octet_length(key) <= 1000),
    seats       integer not null check (seats between 0 and 10000),
    per         text not null check (per in ('page', 'step')),
    created_at  timestamptz not null,
    check (seats <= 1 or key !~ '^rag:')
);

-- A seat above its resource's number is taken and goes with its holder: what a smaller limit has not yet got back.
create table leasehold.seat (
    key        text collate "C" not null references leasehold.resource on delete cascade,
    ix         integer not null check (ix > 0),
    token      bigint not null default 0,
    leased     boolean not null default false,
    holder_id  bigint references leasehold.holder,
    since      timestamptz not null,
    primary key (key, ix)
) with (fillfactor = 50);
create index seat_holder_ix on leasehold.seat (holder_id) where holder_id is not null;
create index seat_lease_ix on leasehold.seat (token) where leased and holder_id is not null;
create unique index seat_once_ix on leasehold.seat (key, holder_id) where holder_id is not null and not leased;

-- Who waits for a seat without a step. asked_at: when it last asked; who asks no more is passed over.
create table leasehold.seat_line (
    key        text collate "C" not null references leasehold.resource on delete cascade,
    holder_id  bigint not null references leasehold.holder,
    place      bigint not null generated always as identity,
    since      timestamptz not null,
    asked_at   timestamptz not null,
    primary key (key, holder_id)
);
create index seat_line_holder_ix on leasehold.seat_line (holder_id);

-- Every seat that was taken away by hand: whose, by whom, why. steps: what went back with the lease it served.
create table leasehold.seat_break (
    break_id   bigint generated always as identity primary key,
    at         timestamptz not null,
    key        text collate "C" not null,
    token      bigint not null,
    holder_id  bigint not null,
    heard_s    double precision not null,
    steps      integer not null,
    forced     boolean not null,
    role       text not null,
    by_whom    text not null,
    reason     text not null
);

-- A lane's key names a resource, so that a lane never stands behind a lock that is not there.
alter table leasehold.lane alter column key type text collate "C";
alter table leasehold.lane add foreign key (key) references leasehold.resource;
create index lane_key_ix on leasehold.lane (key) where key is not null;

-- A resource is paused like a kind: nobody gets a seat of it.
alter table leasehold.pause drop constraint pause_what_check,
    add constraint pause_what_check check (what in ('kind', 'source', 'group', 'limit'));
