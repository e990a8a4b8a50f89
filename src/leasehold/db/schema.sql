-- What the migrations make, as pg_dump says it, functions apart. No program reads it. To refresh: python -m leasehold.testing.schema

-- PostgreSQL database dump

-- Name: leasehold; Type: SCHEMA; Schema: -; Owner: -

CREATE SCHEMA leasehold;

-- Name: ending; Type: TYPE; Schema: leasehold; Owner: -

CREATE TYPE leasehold.ending AS ENUM (
    'succeeded',
    'error',
    'failed',
    'cancelled',
    'snoozed',
    'reopened'
);

-- Name: artifact; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.artifact (
    recipe bytea NOT NULL,
    kind text NOT NULL,
    content bytea,
    size bigint NOT NULL,
    step_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    store_id bigint,
    key text,
    encoding text DEFAULT 'zstd'::text NOT NULL,
    stored bigint,
    checksum bytea,
    CONSTRAINT artifact_checksum_check CHECK ((length(checksum) = 32)),
    CONSTRAINT artifact_encoding_check CHECK ((encoding = ANY (ARRAY['zstd'::text, 'plain'::text]))),
    CONSTRAINT artifact_key_check CHECK ((key ~ '^[0-9a-f]{2}/[0-9a-f]{64}-[0-9a-f]{16}$'::text)),
    CONSTRAINT artifact_lies_in_one_place CHECK ((((content IS NULL) = (store_id IS NOT NULL)) AND ((store_id IS NULL) = (key IS NULL)) AND ((store_id IS NULL) OR ((stored IS NOT NULL) AND (checksum IS NOT NULL))))),
    CONSTRAINT artifact_recipe_check CHECK ((length(recipe) = 32)),
    CONSTRAINT artifact_stored_check CHECK ((stored >= 0))
);
ALTER TABLE ONLY leasehold.artifact ALTER COLUMN content SET STORAGE EXTERNAL;

-- Name: artifact_store; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.artifact_store (
    store_id bigint NOT NULL,
    url text NOT NULL,
    endpoint text NOT NULL,
    region text NOT NULL,
    mark text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT artifact_store_mark_check CHECK ((mark ~ '^leasehold-[0-9a-f]{32}$'::text)),
    CONSTRAINT artifact_store_url_check CHECK ((url ~ '^(file|s3)://'::text))
);

-- Name: artifact_store_store_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.artifact_store ALTER COLUMN store_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.artifact_store_store_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: artifact_stray; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.artifact_stray (
    store_id bigint NOT NULL,
    key text NOT NULL,
    token bigint,
    since timestamp with time zone NOT NULL,
    CONSTRAINT artifact_stray_key_check CHECK ((key ~ '^[0-9a-f]{2}/[0-9a-f]{64}-[0-9a-f]{16}$'::text))
);

-- Name: blocked; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.blocked (
    step_id bigint NOT NULL,
    lane_id bigint NOT NULL,
    parents_left smallint NOT NULL,
    CONSTRAINT blocked_parents_left_check CHECK ((parents_left > 0))
);

-- Name: bound; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.bound (
    what text NOT NULL,
    name text NOT NULL,
    runs_max bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    by_whom text NOT NULL,
    CONSTRAINT bound_name_check CHECK ((name <> ''::text)),
    CONSTRAINT bound_runs_max_check CHECK ((runs_max > 0)),
    CONSTRAINT bound_what_check CHECK ((what = ANY (ARRAY['kind'::text, 'source'::text, 'group'::text])))
);

-- Name: breaker; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.breaker (
    kind text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    streak integer NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    strikes smallint DEFAULT 0 NOT NULL,
    opened_at timestamp with time zone,
    open_until timestamp with time zone,
    probe_token bigint,
    probe_step bigint,
    CONSTRAINT breaker_check CHECK (((opened_at IS NULL) = (open_until IS NULL))),
    CONSTRAINT breaker_check1 CHECK (((opened_at IS NULL) = (strikes = 0))),
    CONSTRAINT breaker_check2 CHECK (((opened_at IS NOT NULL) OR (probe_token IS NULL))),
    CONSTRAINT breaker_streak_check CHECK ((streak >= 0)),
    CONSTRAINT breaker_strikes_check CHECK ((strikes >= 0))
);

-- Name: checkpoint; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.checkpoint (
    step_id bigint NOT NULL,
    name text NOT NULL,
    token bigint NOT NULL,
    value jsonb NOT NULL,
    at timestamp with time zone NOT NULL
)
PARTITION BY RANGE (step_id);

-- Name: chunk; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.chunk (
    collection_id bigint NOT NULL,
    document_id bigint NOT NULL,
    ordinal integer NOT NULL,
    text text NOT NULL,
    line_start integer NOT NULL,
    line_end integer NOT NULL,
    heading text NOT NULL,
    words tsvector GENERATED ALWAYS AS (to_tsvector('english'::regconfig, ((heading || ' '::text) || text))) STORED NOT NULL,
    embedding public.vector NOT NULL,
    place jsonb
)
WITH (toast_tuple_target='8160');

-- Name: claim; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.claim (
    work text NOT NULL,
    key bytea NOT NULL,
    token bigint NOT NULL,
    claimed_at timestamp with time zone NOT NULL
);

-- Name: collection; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.collection (
    collection_id bigint NOT NULL,
    name text NOT NULL,
    embedder text NOT NULL,
    dimensions integer NOT NULL,
    parameters jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT collection_dimensions_check CHECK (((dimensions >= 1) AND (dimensions <= 16000))),
    CONSTRAINT collection_name_check CHECK ((name <> ''::text))
);

-- Name: collection_collection_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.collection ALTER COLUMN collection_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.collection_collection_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: collection_document; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.collection_document (
    collection_id bigint NOT NULL,
    document_id bigint NOT NULL,
    recipe bytea NOT NULL,
    chunks integer NOT NULL,
    title text NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    notes text DEFAULT ''::text NOT NULL,
    CONSTRAINT collection_document_chunks_check CHECK ((chunks > 0))
);

-- Name: delayed; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.delayed (
    step_id bigint NOT NULL,
    lane_id bigint NOT NULL,
    ready_at timestamp with time zone NOT NULL,
    attempt smallint NOT NULL,
    alone boolean NOT NULL,
    why text NOT NULL,
    wait_key bytea,
    unstarted boolean DEFAULT false NOT NULL
);

-- Name: document; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.document (
    document_id bigint NOT NULL,
    sha256 bytea NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT document_sha256_check CHECK ((length(sha256) = 32))
);

-- Name: document_document_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.document ALTER COLUMN document_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.document_document_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: event_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

CREATE SEQUENCE leasehold.event_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

-- Name: event; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.event (
    event_id bigint DEFAULT nextval('leasehold.event_seq'::regclass) CONSTRAINT event_event_id_not_null1 NOT NULL,
    name text CONSTRAINT event_name_not_null1 NOT NULL,
    group_id bigint,
    run_id bigint,
    at timestamp with time zone CONSTRAINT event_at_not_null1 NOT NULL,
    data jsonb
)
PARTITION BY RANGE (event_id);

-- Name: event_p0; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.event_p0 (
    event_id bigint DEFAULT NULL CONSTRAINT event_event_id_not_null NOT NULL,
    name text CONSTRAINT event_name_not_null NOT NULL,
    group_id bigint,
    run_id bigint,
    at timestamp with time zone CONSTRAINT event_at_not_null NOT NULL,
    data jsonb
);

-- Name: event_p1; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.event_p1 (
    event_id bigint DEFAULT nextval('leasehold.event_seq'::regclass) CONSTRAINT event_event_id_not_null1 NOT NULL,
    name text CONSTRAINT event_name_not_null1 NOT NULL,
    group_id bigint,
    run_id bigint,
    at timestamp with time zone CONSTRAINT event_at_not_null1 NOT NULL,
    data jsonb
);

-- Name: group_completion; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.group_completion (
    group_id bigint NOT NULL,
    round integer NOT NULL,
    at timestamp with time zone NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    ended leasehold.ending,
    CONSTRAINT group_completion_ended_check CHECK ((ended = ANY (ARRAY['succeeded'::leasehold.ending, 'failed'::leasehold.ending, 'cancelled'::leasehold.ending])))
);

-- Name: group_delta; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.group_delta (
    group_id bigint NOT NULL,
    succeeded integer NOT NULL,
    failed integer NOT NULL,
    cancelled integer NOT NULL
);

-- Name: group_pruned; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.group_pruned (
    group_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    tidy boolean DEFAULT false NOT NULL
);

-- Name: group_setting; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.group_setting (
    group_id bigint NOT NULL,
    set_id bigint NOT NULL,
    timeouts real[] NOT NULL
);

-- Name: group_span; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.group_span (
    group_id bigint NOT NULL,
    first_run bigint NOT NULL,
    last_run bigint NOT NULL,
    page text,
    CONSTRAINT group_span_check CHECK ((last_run >= first_run))
);

-- Name: holder; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.holder (
    holder_id bigint NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    ttl interval NOT NULL,
    started_at timestamp with time zone NOT NULL,
    heartbeat_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    claim_no bigint DEFAULT 0 NOT NULL,
    ended_at timestamp with time zone,
    end_reason text,
    kinds text[],
    drain text,
    drained_at timestamp with time zone,
    drained_by text,
    CONSTRAINT holder_check CHECK (((ended_at IS NULL) = (end_reason IS NULL))),
    CONSTRAINT holder_drain CHECK ((((drain IS NULL) = (drained_at IS NULL)) AND ((drain IS NULL) = (drained_by IS NULL)))),
    CONSTRAINT holder_drain_check CHECK ((drain = ANY (ARRAY['end'::text, 'idle'::text]))),
    CONSTRAINT holder_end_reason_check CHECK ((end_reason = ANY (ARRAY['left'::text, 'reaped'::text]))),
    CONSTRAINT holder_kind_check CHECK ((kind = ANY (ARRAY['worker'::text, 'cli'::text, 'web'::text, 'hook'::text, 'sql'::text]))),
    CONSTRAINT holder_ttl_check CHECK ((ttl > '00:00:00'::interval))
)
WITH (fillfactor='50');

-- Name: holder_holder_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.holder ALTER COLUMN holder_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.holder_holder_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: hook; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.hook (
    hook_id bigint NOT NULL,
    workflow_id bigint NOT NULL,
    name text NOT NULL,
    events text[] NOT NULL,
    call text NOT NULL,
    timeout_s double precision NOT NULL,
    salt text NOT NULL,
    CONSTRAINT hook_call_check CHECK ((call <> ''::text)),
    CONSTRAINT hook_events_check CHECK (((cardinality(events) > 0) AND (events <@ '{group_start,group_end,run_start,run_end,run_failed,step_start,step_end,step_failed}'::text[]))),
    CONSTRAINT hook_name_check CHECK ((name ~ '^[a-z][a-z0-9_.-]{0,62}$'::text)),
    CONSTRAINT hook_timeout_s_check CHECK (((timeout_s > (0)::double precision) AND (timeout_s <= (86400)::double precision)))
);

-- Name: hook_call; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.hook_call (
    step_id bigint NOT NULL,
    hook_id bigint NOT NULL,
    event_id bigint NOT NULL,
    group_id bigint NOT NULL,
    run_id bigint
);

-- Name: hook_hook_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.hook ALTER COLUMN hook_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.hook_hook_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: item; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.item (
    item_id bigint NOT NULL,
    source_id bigint NOT NULL,
    path text NOT NULL,
    size bigint NOT NULL,
    mtime_ns bigint NOT NULL,
    inode bigint NOT NULL,
    settled boolean DEFAULT false NOT NULL,
    verdict text,
    reason text,
    detail text,
    pipeline bytea,
    media_type text,
    run_id bigint,
    pending_id bigint,
    document_id bigint,
    stored_at timestamp with time zone,
    CONSTRAINT item_check CHECK (((verdict IS DISTINCT FROM 'stored'::text) OR (document_id IS NOT NULL))),
    CONSTRAINT item_check1 CHECK (((NOT (verdict IS DISTINCT FROM 'skipped'::text)) = (reason IS NOT NULL))),
    CONSTRAINT item_verdict_check CHECK ((verdict = ANY (ARRAY['stored'::text, 'skipped'::text])))
)
WITH (fillfactor='70');

-- Name: item_item_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.item ALTER COLUMN item_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.item_item_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: run_outcome; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.run_outcome (
    run_id bigint NOT NULL,
    round integer NOT NULL,
    ended leasehold.ending NOT NULL,
    at timestamp with time zone NOT NULL,
    reopened boolean DEFAULT false NOT NULL,
    CONSTRAINT run_outcome_ended_check CHECK ((ended = ANY (ARRAY['succeeded'::leasehold.ending, 'failed'::leasehold.ending, 'cancelled'::leasehold.ending])))
)
PARTITION BY RANGE (run_id);

-- Name: item_state; Type: VIEW; Schema: leasehold; Owner: -

CREATE VIEW leasehold.item_state AS
 SELECT i.item_id,
    i.source_id,
    i.path,
    i.size,
    i.media_type,
    i.run_id,
    i.pending_id,
    i.document_id,
    i.pipeline,
    COALESCE(i.verdict,
        CASE o.ended
            WHEN 'failed'::leasehold.ending THEN 'failed'::text
            WHEN 'cancelled'::leasehold.ending THEN 'cancelled'::text
            ELSE 'pending'::text
        END) AS state,
    i.reason,
    i.detail
   FROM (leasehold.item i
     LEFT JOIN leasehold.run_outcome o ON (((i.verdict IS NULL) AND (o.run_id = i.run_id) AND (NOT o.reopened))));

-- Name: lane; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.lane (
    lane_id bigint NOT NULL,
    group_id bigint,
    workflow_id bigint NOT NULL,
    kind text NOT NULL,
    key text COLLATE pg_catalog."C",
    stage smallint NOT NULL,
    weight smallint DEFAULT 1 NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    paused_until timestamp with time zone,
    hook_id bigint,
    subscribed text[],
    CONSTRAINT lane_of_group_or_hook CHECK (((group_id IS NULL) = (hook_id IS NOT NULL))),
    CONSTRAINT lane_weight_check CHECK ((weight > 0))
);

-- Name: COLUMN lane.paused_until; Type: COMMENT; Schema: leasehold; Owner: -

COMMENT ON COLUMN leasehold.lane.paused_until IS 'Only workers of earlier releases look at it; pauses stand in leasehold.pause.';

-- Name: COLUMN lane.subscribed; Type: COMMENT; Schema: leasehold; Owner: -

COMMENT ON COLUMN leasehold.lane.subscribed IS 'Events of its runs and steps that somebody wants told; null: none.';

-- Name: lane_lane_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.lane ALTER COLUMN lane_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.lane_lane_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: lease; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.lease (
    token bigint NOT NULL,
    holder_id bigint NOT NULL,
    claim_no bigint NOT NULL,
    lane_id bigint NOT NULL,
    kind text NOT NULL,
    alone boolean NOT NULL,
    claimed_at timestamp with time zone NOT NULL,
    deadline timestamp with time zone NOT NULL,
    step_ids bigint[] NOT NULL,
    attempts smallint[] NOT NULL,
    cancelled bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    CONSTRAINT lease_check CHECK ((cardinality(step_ids) = cardinality(attempts))),
    CONSTRAINT lease_step_ids_check CHECK (((cardinality(step_ids) >= 1) AND (cardinality(step_ids) <= 500)))
);
ALTER TABLE ONLY leasehold.lease ALTER COLUMN step_ids SET STORAGE PLAIN;
ALTER TABLE ONLY leasehold.lease ALTER COLUMN attempts SET STORAGE PLAIN;

-- Name: migration; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.migration (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    oldest integer,
    release text
);

-- Name: oddity; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.oddity (
    source_id bigint NOT NULL,
    path text NOT NULL,
    verdict text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    remedy text NOT NULL,
    CONSTRAINT oddity_verdict_check CHECK ((verdict = ANY (ARRAY['skipped'::text, 'failed'::text])))
);

-- Name: outcome; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.outcome (
    step_id bigint NOT NULL,
    token bigint NOT NULL,
    attempt smallint NOT NULL,
    ended leasehold.ending NOT NULL,
    at timestamp with time zone NOT NULL,
    reason text,
    detail text
)
PARTITION BY RANGE (step_id);

-- Name: parameter_name; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.parameter_name (
    workflow text NOT NULL,
    name text NOT NULL,
    set_id bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    CONSTRAINT parameter_name_name_check CHECK ((name <> ''::text))
);

-- Name: parameter_set; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.parameter_set (
    set_id bigint NOT NULL,
    digest bytea NOT NULL,
    workflow text NOT NULL,
    configs bytea[] NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT parameter_set_configs_check CHECK ((cardinality(configs) > 0)),
    CONSTRAINT parameter_set_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT parameter_set_workflow_check CHECK ((workflow <> ''::text))
);

-- Name: parameter_set_set_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.parameter_set ALTER COLUMN set_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.parameter_set_set_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: pause; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.pause (
    what text NOT NULL,
    name text NOT NULL,
    until timestamp with time zone NOT NULL,
    since timestamp with time zone NOT NULL,
    by_whom text NOT NULL,
    why text NOT NULL,
    CONSTRAINT pause_name_check CHECK ((name <> ''::text)),
    CONSTRAINT pause_what_check CHECK ((what = ANY (ARRAY['kind'::text, 'source'::text, 'group'::text, 'limit'::text])))
);

-- Name: payload; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.payload (
    run_id bigint NOT NULL,
    item jsonb NOT NULL
)
PARTITION BY RANGE (run_id);

-- Name: position_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

CREATE SEQUENCE leasehold.position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

-- Name: pruned; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.pruned (
    what text NOT NULL,
    range bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    gone bigint NOT NULL,
    kept bigint NOT NULL,
    until timestamp with time zone,
    CONSTRAINT pruned_what_check CHECK ((what = ANY (ARRAY['runs'::text, 'events'::text])))
);

-- Name: ready; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.ready (
    lane_id bigint NOT NULL,
    alone boolean NOT NULL,
    "position" bigint NOT NULL,
    step_id bigint NOT NULL,
    attempt smallint NOT NULL,
    unstarted boolean NOT NULL,
    since timestamp with time zone DEFAULT leasehold.now()
);

-- Name: refusal; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.refusal (
    refusal_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    verb text NOT NULL,
    token bigint,
    steps integer NOT NULL
);

-- Name: refusal_refusal_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.refusal ALTER COLUMN refusal_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.refusal_refusal_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: resource; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.resource (
    key text NOT NULL COLLATE pg_catalog."C",
    seats integer NOT NULL,
    per text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT resource_check CHECK (((seats <= 1) OR (key !~ '^rag:'::text))),
    CONSTRAINT resource_key_check CHECK (((key ~ '^[a-z][a-z0-9_]*:.'::text) AND (octet_length(key) <= 1000))),
    CONSTRAINT resource_per_check CHECK ((per = ANY (ARRAY['page'::text, 'step'::text]))),
    CONSTRAINT resource_seats_check CHECK (((seats >= 0) AND (seats <= 10000)))
);

-- Name: run; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.run (
    run_id bigint NOT NULL,
    group_id bigint NOT NULL
)
PARTITION BY RANGE (run_id);

-- Name: run_group; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.run_group (
    group_id bigint NOT NULL,
    workflow_id bigint NOT NULL,
    label text DEFAULT ''::text NOT NULL,
    idempotency_key text,
    created_at timestamp with time zone NOT NULL,
    sealed_at timestamp with time zone,
    cancelled_at timestamp with time zone,
    completed_at timestamp with time zone,
    round integer DEFAULT 1 NOT NULL,
    added bigint DEFAULT 0 NOT NULL,
    succeeded bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    cancelled bigint DEFAULT 0 NOT NULL,
    source text DEFAULT ''::text NOT NULL,
    failures_max bigint,
    failures_max_percent double precision,
    trace text,
    CONSTRAINT run_group_cancelled_check CHECK ((cancelled >= 0)),
    CONSTRAINT run_group_check CHECK ((((succeeded + failed) + cancelled) <= added)),
    CONSTRAINT run_group_failed_check CHECK ((failed >= 0)),
    CONSTRAINT run_group_failures_max_check CHECK ((failures_max >= 0)),
    CONSTRAINT run_group_failures_max_percent_check CHECK (((failures_max_percent >= (0)::double precision) AND (failures_max_percent <= (100)::double precision))),
    CONSTRAINT run_group_one_tolerance CHECK (((failures_max IS NULL) OR (failures_max_percent IS NULL))),
    CONSTRAINT run_group_succeeded_check CHECK ((succeeded >= 0)),
    CONSTRAINT run_group_trace_check CHECK ((trace ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'::text))
)
WITH (fillfactor='50');

-- Name: run_group_group_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.run_group ALTER COLUMN group_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.run_group_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: run_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

CREATE SEQUENCE leasehold.run_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

-- Name: seat; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.seat (
    key text NOT NULL COLLATE pg_catalog."C",
    ix integer NOT NULL,
    token bigint DEFAULT 0 NOT NULL,
    leased boolean DEFAULT false NOT NULL,
    holder_id bigint,
    since timestamp with time zone NOT NULL,
    CONSTRAINT seat_ix_check CHECK ((ix > 0))
)
WITH (fillfactor='50');

-- Name: seat_break; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.seat_break (
    break_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    token bigint NOT NULL,
    holder_id bigint NOT NULL,
    heard_s double precision NOT NULL,
    steps integer NOT NULL,
    forced boolean NOT NULL,
    role text NOT NULL,
    by_whom text NOT NULL,
    reason text NOT NULL
);

-- Name: seat_break_break_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.seat_break ALTER COLUMN break_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.seat_break_break_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: seat_line; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.seat_line (
    key text NOT NULL COLLATE pg_catalog."C",
    holder_id bigint NOT NULL,
    place bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    asked_at timestamp with time zone NOT NULL
);

-- Name: seat_line_place_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.seat_line ALTER COLUMN place ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.seat_line_place_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: silence; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.silence (
    holder_id bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    reason text NOT NULL,
    CONSTRAINT silence_reason_check CHECK ((reason <> ''::text))
);

-- Name: source; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.source (
    source_id bigint NOT NULL,
    collection_id bigint NOT NULL,
    kind text NOT NULL,
    uri text NOT NULL,
    root text NOT NULL,
    options jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT source_kind_check CHECK ((kind = 'folder'::text))
);

-- Name: source_source_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.source ALTER COLUMN source_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.source_source_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: step; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.step (
    step_id bigint NOT NULL,
    lane_id bigint NOT NULL
)
PARTITION BY RANGE (step_id);

-- Name: step_config; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.step_config (
    config bytea NOT NULL,
    step text NOT NULL,
    method text NOT NULL,
    parameters jsonb NOT NULL,
    upstream bytea[] NOT NULL,
    CONSTRAINT step_config_config_check CHECK ((length(config) = 32)),
    CONSTRAINT step_config_method_check CHECK ((method <> ''::text)),
    CONSTRAINT step_config_step_check CHECK ((step <> ''::text))
);

-- Name: step_result; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.step_result (
    step_id bigint NOT NULL,
    result jsonb NOT NULL
)
PARTITION BY RANGE (step_id);

-- Name: step_state; Type: VIEW; Schema: leasehold; Owner: -

CREATE VIEW leasehold.step_state AS
 SELECT s.step_id,
    s.lane_id,
    'blocked'::text AS state,
    NULL::bigint AS token,
    NULL::smallint AS attempt
   FROM (leasehold.blocked b
     JOIN leasehold.step s USING (step_id))
UNION ALL
 SELECT d.step_id,
    d.lane_id,
    'delayed'::text AS state,
    NULL::bigint AS token,
    d.attempt
   FROM leasehold.delayed d
UNION ALL
 SELECT r.step_id,
    r.lane_id,
    'ready'::text AS state,
    NULL::bigint AS token,
    r.attempt
   FROM leasehold.ready r
UNION ALL
 SELECT u.step_id,
    l.lane_id,
    'leased'::text AS state,
    l.token,
    u.attempt
   FROM leasehold.lease l,
    LATERAL UNNEST(l.step_ids, l.attempts) u(step_id, attempt)
UNION ALL
 SELECT o.step_id,
    s.lane_id,
    (o.ended)::text AS state,
    o.token,
    o.attempt
   FROM (( SELECT DISTINCT ON (outcome.step_id) outcome.step_id,
            outcome.token,
            outcome.attempt,
            outcome.ended,
            outcome.at,
            outcome.reason,
            outcome.detail
           FROM leasehold.outcome
          ORDER BY outcome.step_id, outcome.token DESC) o
     JOIN leasehold.step s USING (step_id))
  WHERE (o.ended = ANY (ARRAY['succeeded'::leasehold.ending, 'failed'::leasehold.ending, 'cancelled'::leasehold.ending]));

-- Name: sync; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.sync (
    sync_id bigint NOT NULL,
    source_id bigint NOT NULL,
    group_id bigint,
    started_at timestamp with time zone NOT NULL,
    applied_at timestamp with time zone,
    seen bigint NOT NULL,
    excluded bigint NOT NULL,
    added bigint NOT NULL,
    changed bigint NOT NULL,
    renamed bigint NOT NULL,
    deleted bigint NOT NULL,
    unchanged bigint NOT NULL
);

-- Name: sync_sync_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.sync ALTER COLUMN sync_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.sync_sync_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: token_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

CREATE SEQUENCE leasehold.token_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

-- Name: version; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.version (
    item_id bigint NOT NULL,
    number integer NOT NULL,
    document_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT version_number_check CHECK ((number > 0))
);

-- Name: workflow; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.workflow (
    workflow_id bigint NOT NULL,
    name text NOT NULL,
    digest bytea NOT NULL,
    linear boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    of_hooks boolean DEFAULT false NOT NULL,
    subscribed text[],
    CONSTRAINT workflow_subscribed_check CHECK ((cardinality(subscribed) > 0))
);

-- Name: workflow_step; Type: TABLE; Schema: leasehold; Owner: -

CREATE TABLE leasehold.workflow_step (
    workflow_id bigint NOT NULL,
    ix smallint NOT NULL,
    kind text NOT NULL,
    parents smallint NOT NULL,
    children smallint[] NOT NULL,
    attempts_max smallint NOT NULL,
    backoff_s real NOT NULL,
    backoff_max_s real NOT NULL,
    breaker_after smallint,
    CONSTRAINT workflow_step_attempts_max_check CHECK (((attempts_max >= 1) AND (attempts_max <= 1000))),
    CONSTRAINT workflow_step_backoff_s_check CHECK ((backoff_s >= (0)::double precision)),
    CONSTRAINT workflow_step_breaker_after_check CHECK ((breaker_after > 0)),
    CONSTRAINT workflow_step_check CHECK ((backoff_max_s >= backoff_s)),
    CONSTRAINT workflow_step_ix_check CHECK (((ix >= 0) AND (ix <= 1023))),
    CONSTRAINT workflow_step_kind_check CHECK ((kind <> ''::text))
);

-- Name: workflow_workflow_id_seq; Type: SEQUENCE; Schema: leasehold; Owner: -

ALTER TABLE leasehold.workflow ALTER COLUMN workflow_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME leasehold.workflow_workflow_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: event_p0; Type: TABLE ATTACH; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.event ATTACH PARTITION leasehold.event_p0 FOR VALUES FROM (MINVALUE) TO ('4194304');

-- Name: event_p1; Type: TABLE ATTACH; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.event ATTACH PARTITION leasehold.event_p1 FOR VALUES FROM ('4194304') TO ('8388608');

-- Name: artifact artifact_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.artifact
    ADD CONSTRAINT artifact_pkey PRIMARY KEY (recipe);

-- Name: artifact_store artifact_store_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.artifact_store
    ADD CONSTRAINT artifact_store_pkey PRIMARY KEY (store_id);

-- Name: artifact_store artifact_store_url_endpoint_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.artifact_store
    ADD CONSTRAINT artifact_store_url_endpoint_key UNIQUE (url, endpoint);

-- Name: artifact_stray artifact_stray_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.artifact_stray
    ADD CONSTRAINT artifact_stray_pkey PRIMARY KEY (store_id, key);

-- Name: blocked blocked_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.blocked
    ADD CONSTRAINT blocked_pkey PRIMARY KEY (step_id);

-- Name: bound bound_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.bound
    ADD CONSTRAINT bound_pkey PRIMARY KEY (what, name);

-- Name: breaker breaker_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.breaker
    ADD CONSTRAINT breaker_pkey PRIMARY KEY (kind, key);

-- Name: checkpoint checkpoint_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.checkpoint
    ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (step_id, name);

-- Name: chunk chunk_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.chunk
    ADD CONSTRAINT chunk_pkey PRIMARY KEY (collection_id, document_id, ordinal);

-- Name: claim claim_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.claim
    ADD CONSTRAINT claim_pkey PRIMARY KEY (work, key);

-- Name: collection_document collection_document_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.collection_document
    ADD CONSTRAINT collection_document_pkey PRIMARY KEY (collection_id, document_id);

-- Name: collection collection_name_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.collection
    ADD CONSTRAINT collection_name_key UNIQUE (name);

-- Name: collection collection_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.collection
    ADD CONSTRAINT collection_pkey PRIMARY KEY (collection_id);

-- Name: delayed delayed_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.delayed
    ADD CONSTRAINT delayed_pkey PRIMARY KEY (step_id);

-- Name: document document_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.document
    ADD CONSTRAINT document_pkey PRIMARY KEY (document_id);

-- Name: document document_sha256_media_type_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.document
    ADD CONSTRAINT document_sha256_media_type_key UNIQUE (sha256, media_type);

-- Name: event event_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (event_id);

-- Name: event_p0 event_p0_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.event_p0
    ADD CONSTRAINT event_p0_pkey PRIMARY KEY (event_id);

-- Name: event_p1 event_p1_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.event_p1
    ADD CONSTRAINT event_p1_pkey PRIMARY KEY (event_id);

-- Name: group_completion group_completion_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.group_completion
    ADD CONSTRAINT group_completion_pkey PRIMARY KEY (group_id, round);

-- Name: group_pruned group_pruned_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.group_pruned
    ADD CONSTRAINT group_pruned_pkey PRIMARY KEY (group_id);

-- Name: group_setting group_setting_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.group_setting
    ADD CONSTRAINT group_setting_pkey PRIMARY KEY (group_id);

-- Name: group_span group_span_group_id_page_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.group_span
    ADD CONSTRAINT group_span_group_id_page_key UNIQUE (group_id, page);

-- Name: group_span group_span_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.group_span
    ADD CONSTRAINT group_span_pkey PRIMARY KEY (group_id, first_run);

-- Name: holder holder_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.holder
    ADD CONSTRAINT holder_pkey PRIMARY KEY (holder_id);

-- Name: hook_call hook_call_hook_id_event_id_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.hook_call
    ADD CONSTRAINT hook_call_hook_id_event_id_key UNIQUE (hook_id, event_id);

-- Name: hook_call hook_call_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.hook_call
    ADD CONSTRAINT hook_call_pkey PRIMARY KEY (step_id);

-- Name: hook hook_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.hook
    ADD CONSTRAINT hook_pkey PRIMARY KEY (hook_id);

-- Name: hook hook_workflow_id_name_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.hook
    ADD CONSTRAINT hook_workflow_id_name_key UNIQUE (workflow_id, name);

-- Name: item item_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.item
    ADD CONSTRAINT item_pkey PRIMARY KEY (item_id);

-- Name: item item_source_id_path_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.item
    ADD CONSTRAINT item_source_id_path_key UNIQUE (source_id, path);

-- Name: lane lane_once; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.lane
    ADD CONSTRAINT lane_once UNIQUE NULLS NOT DISTINCT (group_id, kind, key, hook_id);

-- Name: lane lane_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.lane
    ADD CONSTRAINT lane_pkey PRIMARY KEY (lane_id);

-- Name: lease lease_holder_id_claim_no_lane_id_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.lease
    ADD CONSTRAINT lease_holder_id_claim_no_lane_id_key UNIQUE (holder_id, claim_no, lane_id);

-- Name: lease lease_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (token);

-- Name: migration migration_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (number);

-- Name: oddity oddity_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.oddity
    ADD CONSTRAINT oddity_pkey PRIMARY KEY (source_id, path);

-- Name: outcome outcome_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.outcome
    ADD CONSTRAINT outcome_pkey PRIMARY KEY (step_id, token);

-- Name: parameter_name parameter_name_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.parameter_name
    ADD CONSTRAINT parameter_name_pkey PRIMARY KEY (workflow, name);

-- Name: parameter_set parameter_set_digest_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.parameter_set
    ADD CONSTRAINT parameter_set_digest_key UNIQUE (digest);

-- Name: parameter_set parameter_set_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.parameter_set
    ADD CONSTRAINT parameter_set_pkey PRIMARY KEY (set_id);

-- Name: pause pause_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.pause
    ADD CONSTRAINT pause_pkey PRIMARY KEY (what, name);

-- Name: payload payload_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.payload
    ADD CONSTRAINT payload_pkey PRIMARY KEY (run_id);

-- Name: pruned pruned_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.pruned
    ADD CONSTRAINT pruned_pkey PRIMARY KEY (what, range, at);

-- Name: ready ready_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.ready
    ADD CONSTRAINT ready_pkey PRIMARY KEY (lane_id, alone, "position");

-- Name: ready ready_step_id_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.ready
    ADD CONSTRAINT ready_step_id_key UNIQUE (step_id);

-- Name: refusal refusal_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.refusal
    ADD CONSTRAINT refusal_pkey PRIMARY KEY (refusal_id);

-- Name: resource resource_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.resource
    ADD CONSTRAINT resource_pkey PRIMARY KEY (key);

-- Name: run_group run_group_idempotency_key_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.run_group
    ADD CONSTRAINT run_group_idempotency_key_key UNIQUE (idempotency_key);

-- Name: run_group run_group_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.run_group
    ADD CONSTRAINT run_group_pkey PRIMARY KEY (group_id);

-- Name: run_outcome run_outcome_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.run_outcome
    ADD CONSTRAINT run_outcome_pkey PRIMARY KEY (run_id, round);

-- Name: run run_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (run_id);

-- Name: seat_break seat_break_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.seat_break
    ADD CONSTRAINT seat_break_pkey PRIMARY KEY (break_id);

-- Name: seat_line seat_line_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.seat_line
    ADD CONSTRAINT seat_line_pkey PRIMARY KEY (key, holder_id);

-- Name: seat seat_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.seat
    ADD CONSTRAINT seat_pkey PRIMARY KEY (key, ix);

-- Name: silence silence_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.silence
    ADD CONSTRAINT silence_pkey PRIMARY KEY (holder_id);

-- Name: source source_collection_id_uri_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.source
    ADD CONSTRAINT source_collection_id_uri_key UNIQUE (collection_id, uri);

-- Name: source source_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.source
    ADD CONSTRAINT source_pkey PRIMARY KEY (source_id);

-- Name: step_config step_config_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.step_config
    ADD CONSTRAINT step_config_pkey PRIMARY KEY (config);

-- Name: step step_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.step
    ADD CONSTRAINT step_pkey PRIMARY KEY (step_id);

-- Name: step_result step_result_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.step_result
    ADD CONSTRAINT step_result_pkey PRIMARY KEY (step_id);

-- Name: sync sync_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.sync
    ADD CONSTRAINT sync_pkey PRIMARY KEY (sync_id);

-- Name: version version_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.version
    ADD CONSTRAINT version_pkey PRIMARY KEY (item_id, number);

-- Name: workflow workflow_digest_key; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.workflow
    ADD CONSTRAINT workflow_digest_key UNIQUE (digest);

-- Name: workflow workflow_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.workflow
    ADD CONSTRAINT workflow_pkey PRIMARY KEY (workflow_id);

-- Name: workflow_step workflow_step_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.workflow_step
    ADD CONSTRAINT workflow_step_pkey PRIMARY KEY (workflow_id, ix);

-- Name: artifact_key_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE UNIQUE INDEX artifact_key_ix ON leasehold.artifact USING btree (store_id, key) WHERE (store_id IS NOT NULL);

-- Name: artifact_step_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX artifact_step_ix ON leasehold.artifact USING btree (step_id);

-- Name: chunk_words_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX chunk_words_ix ON leasehold.chunk USING gin (words);

-- Name: collection_document_notes_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX collection_document_notes_ix ON leasehold.collection_document USING btree (collection_id) WHERE (notes <> ''::text);

-- Name: delayed_ready_at_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX delayed_ready_at_ix ON leasehold.delayed USING btree (ready_at);

-- Name: delayed_wait_key_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX delayed_wait_key_ix ON leasehold.delayed USING btree (wait_key) WHERE (wait_key IS NOT NULL);

-- Name: group_delta_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX group_delta_ix ON leasehold.group_delta USING btree (group_id);

-- Name: group_pruned_untidy_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX group_pruned_untidy_ix ON leasehold.group_pruned USING btree (group_id) WHERE (NOT tidy);

-- Name: group_setting_set_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX group_setting_set_ix ON leasehold.group_setting USING btree (set_id);

-- Name: holder_living_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX holder_living_ix ON leasehold.holder USING btree (holder_id) WHERE (ended_at IS NULL);

-- Name: hook_call_order_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX hook_call_order_ix ON leasehold.hook_call USING btree (group_id, hook_id, run_id, event_id);

-- Name: item_document_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX item_document_ix ON leasehold.item USING btree (document_id) WHERE (document_id IS NOT NULL);

-- Name: item_run_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX item_run_ix ON leasehold.item USING btree (run_id) WHERE (verdict IS NULL);

-- Name: lane_hook_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE UNIQUE INDEX lane_hook_ix ON leasehold.lane USING btree (hook_id) WHERE (hook_id IS NOT NULL);

-- Name: lane_key_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX lane_key_ix ON leasehold.lane USING btree (key) WHERE (key IS NOT NULL);

-- Name: parameter_name_set_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX parameter_name_set_ix ON leasehold.parameter_name USING btree (set_id);

-- Name: run_group_open_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX run_group_open_ix ON leasehold.run_group USING btree (group_id) WHERE (completed_at IS NULL);

-- Name: seat_holder_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX seat_holder_ix ON leasehold.seat USING btree (holder_id) WHERE (holder_id IS NOT NULL);

-- Name: seat_lease_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX seat_lease_ix ON leasehold.seat USING btree (token) WHERE (leased AND (holder_id IS NOT NULL));

-- Name: seat_line_holder_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX seat_line_holder_ix ON leasehold.seat_line USING btree (holder_id);

-- Name: seat_once_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE UNIQUE INDEX seat_once_ix ON leasehold.seat USING btree (key, holder_id) WHERE ((holder_id IS NOT NULL) AND (NOT leased));

-- Name: sync_source_ix; Type: INDEX; Schema: leasehold; Owner: -

CREATE INDEX sync_source_ix ON leasehold.sync USING btree (source_id, sync_id);

-- Name: event_p0_pkey; Type: INDEX ATTACH; Schema: leasehold; Owner: -

ALTER INDEX leasehold.event_pkey ATTACH PARTITION leasehold.event_p0_pkey;

-- Name: event_p1_pkey; Type: INDEX ATTACH; Schema: leasehold; Owner: -

ALTER INDEX leasehold.event_pkey ATTACH PARTITION leasehold.event_p1_pkey;

-- Name: artifact artifact_store_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.artifact
    ADD CONSTRAINT artifact_store_id_fkey FOREIGN KEY (store_id) REFERENCES leasehold.artifact_store(store_id);

-- Name: artifact_stray artifact_stray_store_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.artifact_stray
    ADD CONSTRAINT artifact_stray_store_id_fkey FOREIGN KEY (store_id) REFERENCES leasehold.artifact_store(store_id);

-- Name: chunk chunk_collection_id_document_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.chunk
    ADD CONSTRAINT chunk_collection_id_document_id_fkey FOREIGN KEY (collection_id, document_id) REFERENCES leasehold.collection_document(collection_id, document_id) ON DELETE CASCADE;

-- Name: collection_document collection_document_collection_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.collection_document
    ADD CONSTRAINT collection_document_collection_id_fkey FOREIGN KEY (collection_id) REFERENCES leasehold.collection(collection_id);

-- Name: collection_document collection_document_document_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.collection_document
    ADD CONSTRAINT collection_document_document_id_fkey FOREIGN KEY (document_id) REFERENCES leasehold.document(document_id);

-- Name: group_completion group_completion_group_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.group_completion
    ADD CONSTRAINT group_completion_group_id_fkey FOREIGN KEY (group_id) REFERENCES leasehold.run_group(group_id);

-- Name: group_setting group_setting_group_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.group_setting
    ADD CONSTRAINT group_setting_group_id_fkey FOREIGN KEY (group_id) REFERENCES leasehold.run_group(group_id);

-- Name: group_setting group_setting_set_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.group_setting
    ADD CONSTRAINT group_setting_set_id_fkey FOREIGN KEY (set_id) REFERENCES leasehold.parameter_set(set_id);

-- Name: group_span group_span_group_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.group_span
    ADD CONSTRAINT group_span_group_id_fkey FOREIGN KEY (group_id) REFERENCES leasehold.run_group(group_id);

-- Name: hook_call hook_call_hook_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.hook_call
    ADD CONSTRAINT hook_call_hook_id_fkey FOREIGN KEY (hook_id) REFERENCES leasehold.hook(hook_id);

-- Name: hook hook_workflow_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.hook
    ADD CONSTRAINT hook_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES leasehold.workflow(workflow_id);

-- Name: item item_document_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.item
    ADD CONSTRAINT item_document_id_fkey FOREIGN KEY (document_id) REFERENCES leasehold.document(document_id);

-- Name: item item_pending_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.item
    ADD CONSTRAINT item_pending_id_fkey FOREIGN KEY (pending_id) REFERENCES leasehold.document(document_id);

-- Name: item item_source_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.item
    ADD CONSTRAINT item_source_id_fkey FOREIGN KEY (source_id) REFERENCES leasehold.source(source_id);

-- Name: lane lane_group_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.lane
    ADD CONSTRAINT lane_group_id_fkey FOREIGN KEY (group_id) REFERENCES leasehold.run_group(group_id);

-- Name: lane lane_hook_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.lane
    ADD CONSTRAINT lane_hook_id_fkey FOREIGN KEY (hook_id) REFERENCES leasehold.hook(hook_id);

-- Name: lane lane_key_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.lane
    ADD CONSTRAINT lane_key_fkey FOREIGN KEY (key) REFERENCES leasehold.resource(key);

-- Name: lease lease_holder_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.lease
    ADD CONSTRAINT lease_holder_id_fkey FOREIGN KEY (holder_id) REFERENCES leasehold.holder(holder_id);

-- Name: oddity oddity_source_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.oddity
    ADD CONSTRAINT oddity_source_id_fkey FOREIGN KEY (source_id) REFERENCES leasehold.source(source_id);

-- Name: parameter_name parameter_name_set_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.parameter_name
    ADD CONSTRAINT parameter_name_set_id_fkey FOREIGN KEY (set_id) REFERENCES leasehold.parameter_set(set_id);

-- Name: run_group run_group_workflow_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.run_group
    ADD CONSTRAINT run_group_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES leasehold.workflow(workflow_id);

-- Name: seat seat_holder_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.seat
    ADD CONSTRAINT seat_holder_id_fkey FOREIGN KEY (holder_id) REFERENCES leasehold.holder(holder_id);

-- Name: seat seat_key_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.seat
    ADD CONSTRAINT seat_key_fkey FOREIGN KEY (key) REFERENCES leasehold.resource(key) ON DELETE CASCADE;

-- Name: seat_line seat_line_holder_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.seat_line
    ADD CONSTRAINT seat_line_holder_id_fkey FOREIGN KEY (holder_id) REFERENCES leasehold.holder(holder_id);

-- Name: seat_line seat_line_key_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.seat_line
    ADD CONSTRAINT seat_line_key_fkey FOREIGN KEY (key) REFERENCES leasehold.resource(key) ON DELETE CASCADE;

-- Name: source source_collection_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.source
    ADD CONSTRAINT source_collection_id_fkey FOREIGN KEY (collection_id) REFERENCES leasehold.collection(collection_id);

-- Name: sync sync_source_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.sync
    ADD CONSTRAINT sync_source_id_fkey FOREIGN KEY (source_id) REFERENCES leasehold.source(source_id);

-- Name: version version_document_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.version
    ADD CONSTRAINT version_document_id_fkey FOREIGN KEY (document_id) REFERENCES leasehold.document(document_id);

-- Name: version version_item_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.version
    ADD CONSTRAINT version_item_id_fkey FOREIGN KEY (item_id) REFERENCES leasehold.item(item_id) ON DELETE CASCADE;

-- Name: workflow_step workflow_step_workflow_id_fkey; Type: FK CONSTRAINT; Schema: leasehold; Owner: -

ALTER TABLE ONLY leasehold.workflow_step
    ADD CONSTRAINT workflow_step_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES leasehold.workflow(workflow_id);
