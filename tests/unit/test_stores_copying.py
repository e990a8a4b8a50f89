"""The binary COPY format, byte by byte as PostgreSQL's documentation has it."""

from __future__ import annotations

import struct

import pytest

from leasehold.stores.copying import FLOAT4_OID, chunk_rows


def fields(row: bytes) -> list[bytes]:
    (count,) = struct.unpack_from(">h", row)
    at, found = 2, []
    for _ in range(count):
        (length,) = struct.unpack_from(">i", row, at)
        found.append(row[at + 4 : at + 4 + length])
        at += 4 + max(length, 0)
    assert at == len(row)
    return found


@pytest.mark.parametrize("pgvector", [True, False])
def test_a_row_has_every_column_with_its_length(pgvector: bool) -> None:
    values = [0.5, -2.0, 1e-9]
    place = b'[["page", 3]]' if pgvector else None
    row = (7, 8, 9, "Überschrift", 1, 2, "a › b", place, struct.pack("<fff", *values))
    (made,) = chunk_rows([row], pgvector=pgvector)
    *plain, placed, vector = fields(made)
    assert placed == (b"" if place is None else b"\x01" + place)
    numbers = [struct.pack(">q", 7), struct.pack(">q", 8), struct.pack(">i", 9)]
    lines = [struct.pack(">i", 1), struct.pack(">i", 2)]
    assert plain == [*numbers, "Überschrift".encode(), *lines, "a › b".encode()]
    if pgvector:
        assert vector == struct.pack(">HHfff", 3, 0, *values)
    else:
        body = b"".join(struct.pack(">if", 4, value) for value in values)
        assert vector == struct.pack(">iiIii", 1, 0, FLOAT4_OID, 3, 1) + body
