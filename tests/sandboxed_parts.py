"""What a child does for documents, with a page that crashes its reader, and large files taken for small ones."""

from __future__ import annotations

import ctypes
from typing import Any

from leasehold.documents import reading_child

reading_child.HELD_BYTES_MAX = 0
CRASHES = b"crash on page 8"


def serve(request: dict[str, Any], files: list[int]) -> reading_child.Answer:
    if request["do"] == "part" and request["first"] <= 7 < request["end"]:
        with open(f"/proc/self/fd/{files[0]}", "rb") as file:
            if CRASHES in file.read():
                ctypes.string_at(0)
    return reading_child.serve(request, files)
