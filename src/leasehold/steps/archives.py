"""Archives as containers of documents: zip, tar, and files packed by gzip, bzip2, xz or zstd.

Members are handed out one by one, each unpacked when it is asked for and no farther than allowed; nothing is written to
disk, so a name like `../../etc/passwd` is only a name. Links, devices and what macOS adds to its archives are passed
over. An archive that breaks off gives its members up to there.

Not here: reading members, and counting how far all of them expand (`reading`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import IO, Any

from leasehold.steps import limits
from leasehold.steps.detection import essence
from leasehold.steps.places import shown_name
from leasehold.steps.zips import Zip
from leasehold.types import Member, Parsed, Place, StepError

READER_VERSION = 1

ENDINGS = {"tgz": "tar", "tbz2": "tar", "txz": "tar", "tzst": "tar", "gz": "", "bz2": "", "xz": "", "zst": "", "z": ""}
TAR_HEAD = 512
REMEDY = "Copy or download it again, whole."


def read(data: bytes, media_type: str, name: str) -> Parsed:
    of = essence(media_type)
    if of == "application/zip":
        return Parsed((), members=_zip(data))
    if of == "application/x-tar":
        return Parsed((), members=_tar(io.BytesIO(data), len(data)))
    return Parsed((), members=_packed(data, of, name))


def _place(name: str) -> Place:
    return (("member", shown_name(name) or "member"),)


def _passed_over(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" in parts or parts[-1] in (".DS_Store", "Thumbs.db") or parts[-1].startswith("._")


def _zip(data: bytes) -> Iterator[Member]:
    with Zip(data) as file:
        for entry in file.entries:
            if (
                not entry.filename
                or entry.is_dir()
                or _passed_over(entry.filename)
                or (entry.external_attr >> 28) == 0xA
            ):
                continue
            yield Member(entry.filename, _place(entry.filename), partial(file.read, entry))


def _tar(stream: IO[bytes], size: int) -> Iterator[Member]:
    import tarfile

    try:
        with tarfile.open(fileobj=stream, mode="r|", errorlevel=1) as file:
            for entry in file:
                _refuse_beyond(entry.size, size)
                if entry.isreg() and not _passed_over(entry.name):
                    content = file.extractfile(entry)
                    if content is not None:
                        yield Member(entry.name, _place(entry.name), partial(_read, content))
                file.members = []  # type: ignore[attr-defined]  # a list of all that were seen, and nobody asks for it
    except (StepError, MemoryError, GeneratorExit):
        raise
    except Exception as error:  # tarfile and what unpacks for it raise a dozen kinds
        raise _damaged("tar", error) from None


def _refuse_beyond(claimed: int, size: int) -> None:
    """A tar may claim terabytes that are not there, and tarfile would count up to them, block by block."""
    if claimed > limits.allowed_bytes(size):
        raise limits.over(size)


def _read(content: IO[bytes], limit: int) -> bytes:
    try:
        return content.read(limit + 1)
    except (StepError, MemoryError):
        raise
    except Exception as error:
        raise _damaged("tar", error) from None


def _damaged(what: str, error: Exception) -> StepError:
    return StepError("damaged", f"{what}: {error or type(error).__name__}", remedy=REMEDY)


# -- packed files -----------------------------------------------------------------------------------------------------


def _packed(data: bytes, of: str, name: str) -> Iterator[Member]:
    """The one file that is packed; when that is a tar, its members."""
    stream = _Counted(_unpacked(data, of), len(data))
    try:
        head = stream.peek(TAR_HEAD)
    except (StepError, MemoryError):
        raise
    except Exception as error:
        raise _damaged("unpacking", error) from None
    if head[257:262] == b"ustar":
        yield from _tar(stream, len(data))  # type: ignore[arg-type]
        return
    inner = _inner_name(name)
    yield Member(inner, _place(inner), partial(_read, stream))  # type: ignore[arg-type]


def _inner_name(name: str) -> str:
    base = name.rpartition("/")[2]
    stem, _, ending = base.rpartition(".")
    if stem and ending.lower() in ENDINGS:
        return f"{stem}.{ENDINGS[ending.lower()]}" if ENDINGS[ending.lower()] else stem
    return base or "member"


def _unpacked(data: bytes, of: str) -> Any:
    packed = io.BytesIO(data)
    if of == "application/gzip":
        import gzip

        return gzip.GzipFile(fileobj=packed)
    if of == "application/x-bzip2":
        import bz2

        return bz2.BZ2File(packed)
    if of == "application/x-xz":
        import lzma

        return lzma.LZMAFile(packed)
    import sys

    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdFile(packed)


class _Counted:
    """A stream that ends with an error where it has given more than its file may expand to."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self._size = stream, size
        self._left = limits.allowed_bytes(size) + (1 << 20)
        self._ahead = b""

    def peek(self, count: int) -> bytes:
        self._ahead = self.read(count)
        return self._ahead

    def read(self, count: int) -> bytes:
        found = self._ahead[:count]
        self._ahead = self._ahead[len(found) :]
        pieces = [found]
        wanted = count - len(found)
        while wanted > 0:
            piece = self._stream.read(min(wanted, 1 << 20))
            if not piece:
                break
            self._left -= len(piece)
            if self._left < 0:
                raise limits.over(self._size)
            wanted -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)
