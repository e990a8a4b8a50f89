"""PostgreSQL's binary COPY format, written by hand for one table: a chunk with its vector in one `bytes.join`.

Going through the driver's per-value adaptation costs ten times as much for a 384-float vector.
Format: signature, flags and extension length; per row the number of fields, then length and bytes of each; -1 ends it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from struct import Struct

SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"

_HEAD = Struct(">hiqiqii")  # fields; collection_id, document_id, ordinal, each with its length
_LINES = Struct(">iiii")
_LENGTH = Struct(">i")
_JSONB = Struct(">ib")  # length, version of the format
NULL = b"\xff\xff\xff\xff"
_VECTOR = Struct(">iHH")
_ARRAY = Struct(">iiiIii")
FLOAT4_OID = 700


def chunk_rows(
    rows: Iterable[tuple[int, int, int, str, int, int, str, bytes | None, bytes | bytearray]], *, pgvector: bool
) -> Iterator[bytes]:
    """Rows of (collection_id, document_id, ordinal, text, line_start, line_end, heading, place, vector).

    `place` is JSON, or None. A vector comes as little-endian float32; the wire wants them big-endian, on every machine.
    """
    vector_field = _pgvector if pgvector else _real_array
    for collection_id, document_id, ordinal, text, line_start, line_end, heading, place, vector in rows:
        text_bytes, heading_bytes = text.encode(), heading.encode()
        floats = array("f", vector)
        floats.byteswap()
        yield b"".join(
            (
                _HEAD.pack(9, 8, collection_id, 8, document_id, 4, ordinal),
                _LENGTH.pack(len(text_bytes)),
                text_bytes,
                _LINES.pack(4, line_start, 4, line_end),
                _LENGTH.pack(len(heading_bytes)),
                heading_bytes,
                NULL if place is None else _JSONB.pack(len(place) + 1, 1) + place,
                vector_field(floats.tobytes()),
            )
        )


def _pgvector(data: bytes) -> bytes:
    return _VECTOR.pack(4 + len(data), len(data) // 4, 0) + data


def _real_array(data: bytes) -> bytes:
    count = len(data) // 4
    body = bytearray(b"\x00\x00\x00\x04\x00\x00\x00\x00" * count)
    for byte in range(4):
        body[4 + byte :: 8] = data[byte::4]
    return _ARRAY.pack(20 + len(body), 1, 0, FLOAT4_OID, count, 1) + body
