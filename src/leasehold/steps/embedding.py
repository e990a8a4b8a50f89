"""Embedding without a model: feature hashing, so that everything works offline and the same on every machine.

A vector counts the words of a text and its pairs of neighbouring words, each hashed to one of 384 places and a sign.
Two texts are near when they use the same words, and not because they mean the same: this embedder is lexical and says
so by its name. It finds identifiers well (`camelCase`, `snake_case` and `HTTPServer` are split into their words) and
needs no download; who wants meaning configures a model.

Bit-identical by construction: the hash is CRC-32 (never Python's `hash`, which differs per process), counts and weights
are integers, and the only inexact operations are one square root and one product, which IEEE 754 rounds the same
everywhere. Repeats weigh by the square root of their number, a pair of words half a word; the words that every English
text has weigh nothing, because a hash cannot know that they are frequent.

Not here: models behind an address, batching, money.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import chain, repeat
from math import isqrt, sqrt
from operator import add, mul, sub
from struct import Struct, pack, unpack_from
from unicodedata import normalize
from zlib import crc32

from leasehold.types import StepError

TOKENS_CACHED_MAX = 200_000
"""Tokens whose hashes are kept, about 40 MB when full; then the cache starts anew."""
TOKEN_CACHED_CHARS_MAX = 40
"""Longer tokens are numbers and keys that will not come again."""

WORD_WEIGHT, PAIR_WEIGHT = 16, 8
_COMMON = """
    a an and are as at be been but by can could did do does for from had has have he her his how i if in into is it its
    me my no not of on or our she so than that the their them then there these they this those to was we were what when
    where which who will with would you your
"""
COMMON = frozenset(_COMMON.split())

_PAIR_FACTOR = 31
"""Makes a pair depend on the order of its words; small, so that the numbers stay small and quick."""
_WORDS = str.maketrans({code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")})


class HashingEmbedder:
    """Vectors of `dimensions` floats, length 1 within 1e-6, the same on every machine."""

    name = "hashing"
    version = 1
    dimensions = 384

    def __init__(self) -> None:
        self._hashes = _Hashes()
        self._floats = Struct(f"{self.dimensions}f")

    def embed(self, texts: Sequence[str]) -> list[array[float]]:
        """Embed *texts*, one float32 vector each, in the same order.

        A text without words is embedded by its characters.

        Raises:
            StepError: permanent, `no words`: a text is empty or only white space. Nothing could be near to it.
        """
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> array[float]:
        hashes = self._hashed(text)
        places = self._places(hashes)
        values = list(map(sub, places[: self.dimensions], places[self.dimensions :]))
        squares = sum(map(mul, values, values))
        if squares == 0:  # opposite signs cancelled each other to the last: keep one feature
            values[hashes[0] % self.dimensions] = squares = 1
        return array("f", self._floats.pack(*map(mul, values, repeat(1 / sqrt(squares)))))

    def _hashed(self, text: str) -> list[int]:
        """The hash of each word in order, common words left out unless there are no others."""
        if text.isascii():
            tokens = text.translate(_WORDS).split()
        else:
            text = normalize("NFKC", text)
            tokens = _tokens().findall(text)
        hashes = list(chain.from_iterable(map(self._hashes.__getitem__, tokens)))
        if hashes:
            return hashes
        tokens = tokens or list("".join(text.split()))
        if not tokens:
            raise StepError("no words", "the text is empty", remedy="Leave out texts that are only white space.")
        return [_hash(token) for token in tokens]

    def _places(self, hashes: list[int]) -> list[int]:
        """Weights by place: the first `dimensions` places add to the vector, as many after them subtract."""
        count = 2 * self.dimensions
        places = [0] * count
        for hashed, times in Counter(hashes).items():
            places[hashed % count] += WORD_WEIGHT if times == 1 else isqrt(WORD_WEIGHT * WORD_WEIGHT * times)
        for pair in set(map(add, map(mul, hashes, repeat(_PAIR_FACTOR)), hashes[1:])):
            places[(pair >> 7) % count] += PAIR_WEIGHT
        return places


class _Hashes(dict[str, tuple[int, ...]]):
    """From a token as it stands in the text to the hashes of the words in it; remembers what it was asked."""

    def __missing__(self, token: str) -> tuple[int, ...]:
        words = [word.lower() for word in _words().findall(token)]
        hashes = tuple(_hash(word) for word in words if word not in COMMON)
        if len(token) <= TOKEN_CACHED_CHARS_MAX:
            if len(self) >= TOKENS_CACHED_MAX:
                self.clear()
            self[token] = hashes
        return hashes


def to_pgvector_binary(vector: array[float]) -> bytes:
    """*vector* as pgvector's binary input takes it: dimension and zero as uint16, then float4, all big-endian."""
    values = array("f", vector)
    if sys.byteorder == "little":
        values.byteswap()
    return pack(">HH", len(values), 0) + values.tobytes()


def from_pgvector_binary(data: bytes) -> array[float]:
    """The vector in pgvector's binary output.

    Raises:
        ValueError: the length is not what the header says.
    """
    dimensions, _ = unpack_from(">HH", data)
    if len(data) != 4 + 4 * dimensions:
        raise ValueError(f"{len(data)} bytes are no vector of {dimensions} dimensions")
    values = array("f", data[4:])
    if sys.byteorder == "little":
        values.byteswap()
    return values


def _hash(word: str) -> int:
    return crc32(word.encode("utf-8", "surrogatepass")) >> 2


@cache
def _tokens() -> re.Pattern[str]:
    return re.compile(r"\w+")


@cache
def _words() -> re.Pattern[str]:
    """The words of an identifier. Chinese, Japanese and Korean have no spaces: each character is a word there."""
    cjk = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
    upper = "A-ZÀ-ÖØ-ÞΑ-ΫЀ-Я"
    return re.compile(rf"[{cjk}]|[{upper}]?[^\W\d_{upper}{cjk}]+|[{upper}]+(?![^\W\d_{upper}{cjk}])|\d+")
