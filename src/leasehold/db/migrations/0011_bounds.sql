-- Bounds: how many runs of a kind, a source or a group may be open at once.
--
-- Works with programs from 0002: what they add counts, and is refused, too.

create table leasehold.bound (
    what      text not null check (what in ('kind', 'source', 'group')),
    name      text not null check (name <> ''),
    runs_max  bigint not null check (runs_max > 0),
    since     timestamptz not null,
    by_whom   text not null,
    primary key (what, name)
);
