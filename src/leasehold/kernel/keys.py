"""Keys: the one name of a resource, however its place was written.

A key is `WORD:REST`. Two programs that mean the same thing must arrive at the same key, or they do not meet: for `rag:`
(an index on disk or in an object store, and its one writer) that takes some work, because a place has many spellings.

    rag:kb  rag:./kb/  rag:/data/link-to-kb  rag:file:///data/kb  rag:/data/kb/leasehold.lancedb   ->  rag:/data/kb
    rag:s3://Bucket//kb/  rag:s3a://bucket/kb                                                     ->  rag:s3://bucket/kb

Other words are taken as they stand: `kind:embed` is the share that all workers together have in a kind of step,
`model:NAME`, `backup:nightly` and the like are yours.

What can fail: a link that is turned to another folder while two programs look. What is not here: whether the place
exists (an index that is yet to be made is locked by its name), and seats (`seats`).
"""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

from leasehold.errors import UsageError

KEY_BYTES_MAX = 1000
STORE_FOLDER = "leasehold.lancedb"
"""Where a store keeps its tables within the place that a person names; either form means the same index."""

_WORD = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SAME_SCHEME = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
_REMEDY = "Write a word, a colon and a name: rag:/data/kb, kind:embed, backup:nightly."


def canonical(key: str) -> str:
    """The one form of *key*.

    Raises:
        UsageError: it is not a key, or its place cannot be named.
    """
    word, colon, rest = key.partition(":")
    if not (colon and rest and _WORD.fullmatch(word)):
        raise UsageError(f"expected the key of a resource, got {key!r}.", remedy=_REMEDY)
    if not rest.isprintable():
        raise UsageError(f"the key {key!r} has characters that cannot be printed.", remedy=_REMEDY)
    named = f"rag:{_place(rest)}" if word == "rag" else key
    if len(named.encode("utf-8", "surrogatepass")) > KEY_BYTES_MAX:
        raise UsageError(f"the key {key[:40]!r}… is longer than {KEY_BYTES_MAX} bytes.", remedy="Use a shorter name.")
    return named


def _place(where: str) -> str:
    url = _URL.fullmatch(where)
    if url is None:
        return _folder(where)
    scheme, rest = url[1].lower(), url[2]
    if scheme == "file":
        host, slash, path = rest.partition("/")
        if host not in ("", "localhost"):
            raise UsageError(f"{where!r} names another machine's file.", remedy="Write its path on this machine.")
        return _folder(slash + unquote(path))
    return _object(where, _SAME_SCHEME.get(scheme, scheme), rest)


def _folder(path: str) -> str:
    resolved = os.path.realpath(os.path.expanduser(path))
    return os.path.dirname(resolved) if os.path.basename(resolved) == STORE_FOLDER else resolved


def _object(where: str, scheme: str, rest: str) -> str:
    """Buckets are one name in any case; the path below is bytes, but for slashes that name nothing."""
    host, *parts = rest.split("/")
    host = host.rpartition("@")[2].lower()  # never a password in a key
    parts = [part for part in parts if part]
    if not host or {".", ".."} & set(parts) or re.search(r"[?#]", rest):
        raise UsageError(f"expected SCHEME://BUCKET/PATH, got {where!r}.", remedy="Write rag:s3://bucket/path.")
    if parts[-1:] == [STORE_FOLDER]:
        parts.pop()
    return "/".join([f"{scheme}://{host}", *parts])
