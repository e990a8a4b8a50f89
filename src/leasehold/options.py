"""Options: frozen, keyword-only, units in names, each default argued, relations checked together.

Where an option comes from (flag, environment, file) is the entrances' business; here only meanings and limits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leasehold.errors import UsageError

TURNS_MAX = 10_000
"""Of weights and priorities: beyond it a number is a mistake."""
BUCKET = re.compile(r"//[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=+-]+)*/?")
"""A bucket and a prefix that need no quoting in an address."""
ENDPOINT = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseOptions:
    ttl_s: float = 30.0
    """A dead host's steps come back after about this long. Shorter recovers sooner and tolerates less lag."""
    heartbeat_s: float = 5.0
    """One request per process at this interval; six tries before a lease can lapse."""

    def __post_init__(self) -> None:
        if not 0.2 <= self.ttl_s <= 86_400:
            raise UsageError(f"lease.ttl_s={self.ttl_s} must be between 0.2 and 86400 seconds.")
        if not 0 < self.heartbeat_s * 2 <= self.ttl_s:
            raise UsageError(
                f"lease.heartbeat_s={self.heartbeat_s} leaves no second try within lease.ttl_s={self.ttl_s}.",
                remedy=f"Use {self.ttl_s / 4:g} seconds or less.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOptions:
    size: int = 1200
    """Characters in a chunk at most. About 300 tokens of English: one idea, and well inside every embedder's limit."""
    overlap: int = 0
    """Characters repeated at the start of the next chunk. 0: hybrid search finds words at the seams by full text."""

    def __post_init__(self) -> None:
        if not 100 <= self.size <= 100_000:
            raise UsageError(f"chunk.size={self.size} must be between 100 and 100000 characters.")
        if not 0 <= self.overlap <= self.size // 2:
            raise UsageError(f"chunk.overlap={self.overlap} must be between 0 and half of chunk.size={self.size}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedOptions:
    embedder: str = ""
    """`hashing`, `openai:MODEL` or `local:FOLDER`. Empty: the one that the collection was made with; a new one gets
    hashing."""
    base_url: str = ""
    """Where the model is, up to /embeddings: http://localhost:11434/v1. Empty: where the collection was made from, else
    OpenAI's own."""
    dimensions: int = 0
    """Width to ask a model for that can shorten its vectors; 0: as it gives."""
    api_key_env: str = "OPENAI_API_KEY"
    """The variable of the environment that holds the key. The key itself is in no file, row or log of ours."""
    timeout_s: float = 60.0
    """Of one request. Must be well below `ingest.step_timeout_s`, which a document's requests share."""
    texts_max: int = 96
    """Texts in a request: more hardly pays, and a refused one is halved to find the text to blame."""
    tokens_max: int = 60_000
    """Tokens in a request, estimated from above; providers limit it to between 100,000 and 300,000."""

    usd_per_million_tokens: float = 0.0
    """What the provider asks for a million tokens of text; 0: not known. A plan tells the dollars by it."""

    def __post_init__(self) -> None:
        if not 0 <= self.usd_per_million_tokens <= 1e6:
            raise UsageError(
                f"embed.usd_per_million_tokens={self.usd_per_million_tokens} must be 0 to 1000000 dollars."
            )
        if not 0 <= self.dimensions <= 16_000:
            raise UsageError(f"embed.dimensions={self.dimensions} must be between 0 (as the model gives) and 16000.")
        if not 0 < self.timeout_s <= 3600:
            raise UsageError(f"embed.timeout_s={self.timeout_s} must be above 0 and at most 3600 seconds.")
        if not 1 <= self.texts_max <= 2048:
            raise UsageError(f"embed.texts_max={self.texts_max} must be between 1 and 2048.")
        if self.tokens_max < 1:
            raise UsageError(f"embed.tokens_max={self.tokens_max} must be at least 1.")
        if not self.api_key_env.strip():
            raise UsageError("embed.api_key_env must name a variable of the environment.")
        if self.base_url and not self.base_url.startswith(("http://", "https://")):
            raise UsageError(f"embed.base_url={self.base_url!r} is no address of a model.",
                             remedy="Give the part before /embeddings: http://localhost:11434/v1.")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderOptions:
    memory_mb: int = 1024
    """Of the process that reads a document (on Linux), beyond what it starts with; more fails that document alone. Ten
    times a file of `source.max_bytes` is more than any reader of ours takes."""
    cpu_s: float = 60.0
    """CPU time for one document, or for one part of one that is read in parts. The slowest real ones take seconds."""
    timeout_s: float = 90.0
    """The same by the clock: a reader that hangs uses no CPU. Never more than `ingest.step_timeout_s` less a tenth."""
    split_pages: int = 500
    """A PDF with more pages is read in parts of so many, side by side, each with its own limits. 0: never."""
    parts_at_once: int = 0
    """Parts of one document read at the same time; 0: one per core."""
    recycle_after: int = 200
    """Documents that one process reads; then it is ended, and whatever a library has leaked with it."""

    def __post_init__(self) -> None:
        if self.memory_mb and self.memory_mb < 64:
            raise UsageError(f"readers.memory_mb={self.memory_mb} must be 0 (no limit), or 64 and more.")
        if not 0 < self.cpu_s <= 86_400 or not 0 < self.timeout_s <= 86_400:
            raise UsageError(f"readers.cpu_s={self.cpu_s} and readers.timeout_s={self.timeout_s} must be above 0, and"
                             " at most 86400 seconds.")  # fmt: skip
        if self.split_pages < 0 or not 0 <= self.parts_at_once <= 256:
            raise UsageError(f"readers.split_pages={self.split_pages} must be 0 or more, and"
                             f" readers.parts_at_once={self.parts_at_once} between 0 and 256.")  # fmt: skip
        if not 1 <= self.recycle_after <= 1_000_000:
            raise UsageError(f"readers.recycle_after={self.recycle_after} must be between 1 and 1000000.")


DOCLING_TYPES = ("pdf", "docx", "pptx", "xlsx", "html", "png", "jpg", "tiff", "bmp", "webp")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoclingOptions:
    urls: tuple[str, ...] = ()
    """Addresses of docling-serve: http://localhost:5001. Documents go to the one with the least to do. None: docling is
    not used, unless the collection was made with it."""
    types: tuple[str, ...] = ("pdf",)
    """What it reads instead of our own readers: pdf, docx, pptx, xlsx, html; and pictures, which nobody else reads:
    png, jpg, tiff, bmp, webp. The collection remembers it."""
    ocr: bool = True
    """Whether it reads text in pictures. The collection remembers it."""
    api_key_env: str = "DOCLING_SERVE_API_KEY"
    """The variable of the environment that holds the key, if the servers want one."""
    timeout_s: float = 600.0
    """For one document, waiting in the server's line included."""
    poll_s: float = 5.0
    """How long a server is asked to hold back its answer about a task that is not done yet."""
    submissions_max: int = 2
    """How often one document is handed over when a server has lost it. Each further attempt of its step hands it over
    once."""

    def __post_init__(self) -> None:
        for url in self.urls:
            if not url.startswith(("http://", "https://")):
                raise UsageError(f"readers.docling.urls has {url!r}, which is no address.",
                                 remedy="Give the part before /v1: http://localhost:5001.")  # fmt: skip
        for name in self.types:
            if name not in DOCLING_TYPES:
                raise UsageError(f"readers.docling.types has {name!r}.", remedy=f"Use {', '.join(DOCLING_TYPES)}.")
        if not 0 < self.timeout_s <= 86_400 or not 0 < self.poll_s <= 60:
            raise UsageError(f"readers.docling.timeout_s={self.timeout_s} must be above 0 and at most 86400, and"
                             f" readers.docling.poll_s={self.poll_s} above 0 and at most 60 seconds.")  # fmt: skip
        if not 1 <= self.submissions_max <= 10:
            raise UsageError(f"readers.docling.submissions_max={self.submissions_max} must be between 1 and 10.")
        if not self.api_key_env.strip():
            raise UsageError("readers.docling.api_key_env must name a variable of the environment.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    include: tuple[str, ...] = ()
    """gitignore-style patterns; when given, only files that match one are taken."""
    exclude: tuple[str, ...] = ()
    """gitignore-style patterns on top of the built-in ones."""
    max_bytes: int = 100_000_000
    """Larger files fail with this reason instead of filling a worker's memory."""
    mass_delete_ratio: float = 0.5
    """A sync that would delete more than this share of a source's documents stops before it deletes any."""
    mass_delete_min: int = 50
    """Below this many deletions the ratio is not looked at: small folders change a lot."""

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise UsageError(f"source.max_bytes={self.max_bytes} must be at least 1.")
        if not 0 < self.mass_delete_ratio <= 1:
            raise UsageError(f"source.mass_delete_ratio={self.mass_delete_ratio} must be above 0 and at most 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowOptions:
    folder: str = ""
    """A folder of definitions: its YAML files, and its Python files that declare workflows."""
    modules: tuple[str, ...] = ()
    """Modules that declare workflows. What installed packages offer is found without being named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    collection: str = "default"
    """Where documents go when no --into is given."""
    processes: int = 0
    """Worker processes; 0: one per core. Reading and embedding is the interpreter's work: more than cores idle."""
    workers: int = 0
    """Documents worked at once, spread over the processes; 0: two per process, so one computes while one writes."""
    step_timeout_s: float = 120.0
    """A step that takes longer is stopped and counts as an attempt; three attempts and the file is named as failed."""
    memory_mb: int = 2048
    """Of one worker process (on Linux), which cuts, embeds and stores; `readers.memory_mb` is for reading. A document
    that needs more fails with that reason and its neighbours go on. 0: no limit."""
    weight: int = 1
    """Its part of the workers while others wait too: 3 gets three times what 1 gets. Groups of one source share it."""
    priority: int = 0
    """Higher first. Lower ones still get every eighth turn of each worker, so nothing starves."""

    def __post_init__(self) -> None:
        if not 0 <= self.processes <= 256:
            raise UsageError(f"ingest.processes={self.processes} must be between 0 (one per core) and 256.")
        if not 0 <= self.workers <= 4096:
            raise UsageError(f"ingest.workers={self.workers} must be between 0 (two per process) and 4096.")
        if not self.collection.strip():
            raise UsageError("ingest.collection must not be empty.")
        if not 1 <= self.weight <= TURNS_MAX:
            raise UsageError(f"ingest.weight={self.weight} must be between 1 and {TURNS_MAX}.")
        if not -TURNS_MAX <= self.priority <= TURNS_MAX:
            raise UsageError(f"ingest.priority={self.priority} must be between -{TURNS_MAX} and {TURNS_MAX}.")
        if self.memory_mb and self.memory_mb < 200:
            raise UsageError(f"ingest.memory_mb={self.memory_mb} must be 0 (no limit), or 200 and more.")
        if self.step_timeout_s <= 0:
            raise UsageError(f"ingest.step_timeout_s={self.step_timeout_s} must be above 0 seconds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactOptions:
    url: str = "db:"
    """Where results are kept from now on: `db:` (the database), `file:///FOLDER`, or `s3://BUCKET/PREFIX`. Results that
    were kept elsewhere before stay readable there. A folder must be the same one on every host that works."""
    endpoint: str = ""
    """Address of an S3-compatible server: https://minio.example:9000. Empty: AWS_ENDPOINT_URL, else Amazon's own. The
    keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role; they are in no file or row of ours."""
    region: str = ""
    """Of the bucket. Empty: AWS_REGION, else us-east-1, which most servers that are not Amazon's accept."""
    inline_max_bytes: int = 16_000
    """Results up to this size, as stored, stay in the database all the same: each one outside costs an fsync or a
    request, and most are small. 0: none does."""
    zstd_level: int = 1
    """1 to 19; 1 is as fast as a disk. 0: results are kept as they are. What was kept otherwise stays readable."""
    free_mb_min: int = 256
    """With less free space than this nothing new is computed: steps wait, uncharged, until there is room. Asked of the
    folder, or of the embedded server's disk; nobody can ask a bucket or another host's server. 0: never asked."""
    timeout_s: float = 20.0
    """Of one request to an S3-compatible server, and of its repetitions together; large results get more. Twice this
    must be well below `ingest.step_timeout_s`."""

    def __post_init__(self) -> None:
        scheme, colon, rest = self.url.partition(":")
        if not colon or scheme not in ("db", "file", "s3") or (scheme == "db" and rest):
            raise UsageError(f"artifacts.url={_plain(self.url)!r} is no place for artifacts.",
                             remedy="Give db:, file:///FOLDER or s3://BUCKET/PREFIX.")  # fmt: skip
        if scheme == "file" and not rest.startswith("///"):
            raise UsageError(f"artifacts.url={_plain(self.url)!r} names no folder.",
                             remedy="Give its whole path: file:///srv/leasehold.")  # fmt: skip
        if scheme == "s3" and not BUCKET.fullmatch(rest):
            raise UsageError(f"artifacts.url={_plain(self.url)!r} names no bucket.",
                             remedy="Give s3://BUCKET/PREFIX, without keys, which the environment has.")  # fmt: skip
        if self.endpoint and not ENDPOINT.fullmatch(self.endpoint):
            raise UsageError(f"artifacts.endpoint={_plain(self.endpoint)!r} is no address of a server.",
                             remedy="Give https://HOST:PORT, without keys, which the environment has.")  # fmt: skip
        if not 0 <= self.inline_max_bytes <= 100_000_000:
            raise UsageError(f"artifacts.inline_max_bytes={self.inline_max_bytes} must be between 0 and 100000000.")
        if not 0 <= self.zstd_level <= 19:
            raise UsageError(f"artifacts.zstd_level={self.zstd_level} must be between 0 (as they are) and 19.")
        if self.free_mb_min < 0:
            raise UsageError(f"artifacts.free_mb_min={self.free_mb_min} must be 0 (never asked) or more.")
        if not 0 < self.timeout_s <= 3600:
            raise UsageError(f"artifacts.timeout_s={self.timeout_s} must be above 0 and at most 3600 seconds.")


def _plain(address: str) -> str:
    """*address* without what may be a password in it."""
    return re.sub(r"//[^/@]*@", "//***@", address)
