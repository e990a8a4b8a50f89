"""Office files under a password: the new formats (DOCX, XLSX, PPTX) are wrapped into an OLE file when they have one.

Nothing is decrypted here; the reader exists so that such a file fails as `encrypted`, with the remedy.
"""

from __future__ import annotations

from leasehold.types import Parsed, StepError

READER_VERSION = 1


def read(data: bytes, media_type: str, name: str) -> Parsed:
    raise StepError("encrypted", "it is protected by a password", remedy="Save it without the password.")
