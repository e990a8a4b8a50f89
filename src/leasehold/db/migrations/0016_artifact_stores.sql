-- Artifact stores: results that lie outside the database, in a folder or an object store; the row says where.
--
-- Older programs may not work beside it: they would take a result that lies elsewhere for an empty one.

-- A store is known by its mark, an object of this name that lies in it: a host on which another folder is mounted at the
-- same path, or none, is found out by that.
create table leasehold.artifact_store (
    store_id    bigint generated always as identity primary key,
    url         text not null check (url ~ '^(file|s3)://'),
    endpoint    text not null,
    region      text not null,
    mark        text not null check (mark ~ '^leasehold-[0-9a-f]{32}$'),
    created_at  timestamptz not null,
    unique (url, endpoint)
);

alter table leasehold.artifact
    alter column content drop not null,
    add column store_id  bigint references leasehold.artifact_store,
    add column key       text check (key ~ '^[0-9a-f]{2}/[0-9a-f]{64}-[0-9a-f]{16}$'),
    add column encoding  text not null default 'zstd' check (encoding in ('zstd', 'plain')),
    add column stored    bigint check (stored >= 0),
    add column checksum  bytea check (length(checksum) = 32),
    add constraint artifact_lies_in_one_place check (
        (content is null) = (store_id is not null) and (store_id is null) = (key is null)
        and (store_id is null or (stored is not null and checksum is not null)));
create unique index artifact_key_ix on leasehold.artifact (store_id, key) where store_id is not null;

-- Strays: objects that no row refers to. Noted before the object is written (token: the lease under which), crossed out
-- with the row that refers to it, and noted again when that row goes (no token). Only what stands here is ever removed
-- from a store, by its exact name.
create table leasehold.artifact_stray (
    store_id  bigint not null references leasehold.artifact_store,
    key       text not null check (key ~ '^[0-9a-f]{2}/[0-9a-f]{64}-[0-9a-f]{16}$'),
    token     bigint,
    since     timestamptz not null,
    primary key (store_id, key)
);
