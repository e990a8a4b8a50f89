"""Zip files, opened with care: office files, books and archives are all of this kind.

The table of contents at the end of the file is the authority. What it says of sizes is not believed: a part is
unpacked piece by piece, and the parts of a file together may not expand beyond `limits`.

Nothing is ever written to disk, so a name is only a name, whatever path it pretends to be.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from leasehold.steps import limits
from leasehold.types import StepError

PIECE_BYTES = 1 << 16
DIRECTORY_BYTES_MAX = 32 << 20
"""A table of contents beyond this names some 300,000 entries, and would take a gigabyte to hold."""
ENCRYPTED = 0x1
END = b"PK\x05\x06"
END_BYTES = 65_557
"""The end record and the longest comment behind it."""

REMEDY = "Open and save it again with the program it came from, or copy it again, whole."


class Zip:
    """The parts of a zip file, by name. Use as a context."""

    def __init__(self, data: bytes) -> None:
        self._size = len(data)
        self._left = limits.allowed_bytes(len(data))
        end = data.rfind(END, max(0, len(data) - END_BYTES))
        if end < 0:
            raise StepError("truncated", "the table of contents of the zip file is missing", remedy=REMEDY)
        if (
            int.from_bytes(data[end + 12 : end + 16], "little") > DIRECTORY_BYTES_MAX
            and len(data) > DIRECTORY_BYTES_MAX
        ):
            raise StepError(limits.TOO_FAR, "its table of contents is too long", remedy=limits.UNPACK)
        with _damage():
            self._file = zipfile.ZipFile(io.BytesIO(data))
            self.entries = self._file.infolist()
        self.names = {one.filename for one in self.entries}

    def __enter__(self) -> Zip:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def pieces(self, name: str | zipfile.ZipInfo) -> Iterator[bytes]:
        """The unpacked bytes of a part, piece by piece.

        Raises:
            StepError: there is no such part, it is encrypted or damaged, or the file expands too far.
        """
        with _damage():
            info = self._file.getinfo(name) if isinstance(name, str) else name
        if info.flag_bits & ENCRYPTED:
            raise StepError("encrypted", "it is protected by a password", remedy="Save it without the password.")
        with _damage():
            stream = self._file.open(info)
        with stream:
            while True:
                with _damage():
                    piece = stream.read(PIECE_BYTES)
                if not piece:
                    return
                self._left -= len(piece)
                if self._left < 0:
                    raise limits.over(self._size)
                yield piece

    def read(self, name: str | zipfile.ZipInfo, limit: int = limits.MEMBER_BYTES_MAX) -> bytes:
        """The unpacked bytes of a part; of one with more than *limit*, a little more than that."""
        found = bytearray()
        for piece in self.pieces(name):
            found += piece
            if len(found) > limit:
                break
        return bytes(found)


@contextmanager
def _damage() -> Iterator[None]:
    """What zipfile raises on damage is any of a dozen exceptions."""
    try:
        yield
    except (StepError, MemoryError, GeneratorExit):
        raise
    except KeyError as error:
        raise StepError("damaged", f"a part is missing: {error}", remedy=REMEDY) from None
    except NotImplementedError as error:
        raise StepError("damaged", f"packed in a way that cannot be unpacked here: {error}", remedy=REMEDY) from None
    except Exception as error:
        raise StepError("damaged", f"zip: {str(error) or type(error).__name__}", remedy=REMEDY) from None
