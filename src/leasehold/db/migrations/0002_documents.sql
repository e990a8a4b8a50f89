-- Documents: what sources hold, what was computed from it, and what a collection stores.
--
-- An item is a path within a source. A document is content, by digest and type: the same bytes under two paths are one
-- document. An artifact is a result, by recipe; it belongs to nobody, so every source, group and host shares it. Chunks
-- with their vectors are what a collection stores for a document; replacing them is one transaction.

create table leasehold.collection (
    collection_id  bigint generated always as identity primary key,
    name           text not null unique check (name <> ''),
    embedder       text not null,
    dimensions     integer not null check (dimensions between 1 and 16000),
    parameters     jsonb not null,
    created_at     timestamptz not null
);

create table leasehold.source (
    source_id      bigint generated always as identity primary key,
    collection_id  bigint not null references leasehold.collection,
    kind           text not null check (kind in ('folder')),
    uri            text not null,
    root           text not null,
    options        jsonb not null,
    created_at     timestamptz not null,
    unique (collection_id, uri)
);

-- One row per scan; the newest complete one is the source's bookmark: what it saw is what the proof must account for.
create table leasehold.sync (
    sync_id     bigint generated always as identity primary key,
    source_id   bigint not null references leasehold.source,
    group_id    bigint,
    started_at  timestamptz not null,
    applied_at  timestamptz,
    seen        bigint not null,
    excluded    bigint not null,
    added       bigint not null,
    changed     bigint not null,
    renamed     bigint not null,
    deleted     bigint not null,
    unchanged   bigint not null
);
create index sync_source_ix on leasehold.sync (source_id, sync_id);

create table leasehold.document (
    document_id  bigint generated always as identity primary key,
    sha256       bytea not null check (length(sha256) = 32),
    media_type   text not null,
    size         bigint not null,
    created_at   timestamptz not null,
    unique (sha256, media_type)
);

create table leasehold.item (
    item_id      bigint generated always as identity primary key,
    source_id    bigint not null references leasehold.source,
    path         text not null,
    size         bigint not null,
    mtime_ns     bigint not null,
    inode        bigint not null,
    settled      boolean not null default false,
    verdict      text check (verdict in ('stored', 'skipped')),
    reason       text,
    detail       text,
    pipeline     bytea,
    media_type   text,
    run_id       bigint,
    pending_id   bigint references leasehold.document,
    document_id  bigint references leasehold.document,
    check (verdict is distinct from 'stored' or document_id is not null),
    check ((verdict is not distinct from 'skipped') = (reason is not null)),
    unique (source_id, path)
) with (fillfactor = 70);
create index item_document_ix on leasehold.item (document_id) where document_id is not null;
create index item_run_ix on leasehold.item (run_id) where verdict is null;

-- pipeline: the way from bytes to chunks under which the item has its verdict, or its run has read it. An item whose
-- pipeline is no longer the collection's must go again.

-- What a scan saw and will not read, with the reason; made anew by each scan.
create table leasehold.oddity (
    source_id  bigint not null references leasehold.source,
    path       text not null,
    verdict    text not null check (verdict in ('skipped', 'failed')),
    reason     text not null,
    detail     text not null,
    remedy     text not null,
    primary key (source_id, path)
);

create table leasehold.version (
    item_id      bigint not null references leasehold.item on delete cascade,
    number       integer not null check (number > 0),
    document_id  bigint not null references leasehold.document,
    at           timestamptz not null,
    primary key (item_id, number)
);

create table leasehold.artifact (
    recipe      bytea primary key check (length(recipe) = 32),
    kind        text not null,
    content     bytea not null,
    size        bigint not null,
    step_id     bigint not null,
    created_at  timestamptz not null
);
create index artifact_step_ix on leasehold.artifact (step_id);
alter table leasehold.artifact alter column content set storage external;

create table leasehold.collection_document (
    collection_id  bigint not null references leasehold.collection,
    document_id    bigint not null references leasehold.document,
    recipe         bytea not null,
    chunks         integer not null check (chunks > 0),
    title          text not null,
    stored_at      timestamptz not null,
    primary key (collection_id, document_id)
);

-- A usual chunk (text, words, vector: 5 kB) stays in its page, uncompressed: half again as much disk, and written and
-- compared in two thirds of the time.
create table leasehold.chunk (
    collection_id  bigint not null,
    document_id    bigint not null,
    ordinal        integer not null,
    text           text not null,
    line_start     integer not null,
    line_end       integer not null,
    heading        text not null,
    words          tsvector not null generated always as (to_tsvector('english', heading || ' ' || text)) stored,
    primary key (collection_id, document_id, ordinal),
    foreign key (collection_id, document_id) references leasehold.collection_document on delete cascade
) with (toast_tuple_target = 8160);
create index chunk_words_ix on leasehold.chunk using gin (words);

-- Vectors: pgvector's type where the server has the extension and we may create it; else real[] and exact search.
do $$
begin
    if exists (select from pg_available_extensions where name = 'vector') then
        begin
            create extension if not exists vector schema public;  -- where every role finds its operators
        exception when insufficient_privilege then
            raise notice 'pgvector is there, but this role may not create it: vectors are kept as real[]';
        end;
    end if;
    if exists (select from pg_extension where extname = 'vector') then
        execute 'alter table leasehold.chunk add column embedding vector not null';
    else
        alter table leasehold.chunk add column embedding real[] not null;
    end if;
end
$$;
