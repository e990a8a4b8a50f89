"""WordPiece: from text to the token numbers of a BERT vocabulary.

The rules are those of BERT's published tokenizer (Devlin et al., 2019): control characters go, every CJK character and
every punctuation mark is a word of its own, words are lowered and stripped of accents where the model says so, and each
word is cut from the left into the longest pieces that the vocabulary has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from unicodedata import category, normalize

WORD_CHARS_MAX = 100
"""A longer word is unknown, as in the published tokenizer."""
CJK = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B81F), (0x2B820, 0x2CEAF),
       (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))  # fmt: skip


class WordPiece:
    """Args:
    vocabulary: pieces in the order of their numbers; a piece inside a word begins with `##`.
    lower: whether the model knows lower-case words without accents only.
    """

    def __init__(self, vocabulary: Sequence[str], *, lower: bool) -> None:
        self._numbers = {piece: number for number, piece in enumerate(vocabulary)}
        self._lower = lower
        self.unknown = self._numbers["[UNK]"]
        self.first, self.last = self._numbers["[CLS]"], self._numbers["[SEP]"]
        self._cached = lru_cache(maxsize=100_000)(self._pieces)

    def tokens(self, text: str) -> list[int]:
        """The numbers of *text*'s pieces, without those that mark its beginning and end."""
        return [number for word in self._words(text) for number in self._cached(word)]

    def _words(self, text: str) -> Iterator[str]:
        spaced = "".join(_spaced(char) for char in text)
        for word in spaced.split():
            yield from _by_punctuation(_plain(word) if self._lower else word)

    def _pieces(self, word: str) -> tuple[int, ...]:
        if len(word) > WORD_CHARS_MAX:
            return (self.unknown,)
        found, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self._numbers.get(("##" if start else "") + word[start:end])
                if number is not None:
                    break
            else:
                return (self.unknown,)
            found.append(number)
            start = end
        return tuple(found)


@lru_cache(maxsize=65_536)
def _spaced(char: str) -> str:
    code = ord(char)
    if char in "\t\n\r" or category(char) == "Zs":
        return " "
    if code in (0, 0xFFFD) or category(char).startswith("C"):
        return ""
    return f" {char} " if any(low <= code <= high for low, high in CJK) else char


def _plain(word: str) -> str:
    return "".join(char for char in normalize("NFD", word.lower()) if category(char) != "Mn")


def _by_punctuation(word: str) -> Iterator[str]:
    start = 0
    for at, char in enumerate(word):
        if _is_punctuation(char):
            if at > start:
                yield word[start:at]
            yield char
            start = at + 1
    if start < len(word):
        yield word[start:]


@lru_cache(maxsize=65_536)
def _is_punctuation(char: str) -> bool:
    return (char.isascii() and char.isprintable() and not char.isalnum() and char != " ") or category(char)[0] == "P"
