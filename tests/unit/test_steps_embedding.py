"""Hashed vectors are the same everywhere, of length one, and near for the same words."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.steps.embedding import HashingEmbedder, from_pgvector_binary, to_pgvector_binary
from leasehold.types import ErrorClass, StepError

SAMPLE = ["A lease expires when its TTL passes.", "def parse_HTTPHeader(self): return 42", "Größe 漢字 💡", "the", "?!"]


def digest() -> str:
    vectors = HashingEmbedder().embed(SAMPLE)
    return hashlib.sha256(b"".join(map(to_pgvector_binary, vectors))).hexdigest()


def nearness(one: str, other: str) -> float:
    left, right = HashingEmbedder().embed([one, other])
    return sum(map(float.__mul__, left, right))


@given(st.text().filter(lambda text: text.strip()))
def test_every_text_with_a_visible_character_has_a_vector_of_length_one(text):
    (vector,) = HashingEmbedder().embed([text])
    assert len(vector) == HashingEmbedder.dimensions
    assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-6)


def test_the_vectors_are_these_bits_on_every_machine():
    """A change here makes every stored vector stale: raise `version` with it."""
    assert digest() == "36b4d1b7845839c149d50fb09d4825615e8094a826f219ed6f7ccdab717bb8e9"


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_vectors_do_not_depend_on_the_process(seed):
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_steps_embedding as t; print(t.digest())"
    other = subprocess.run(
        [sys.executable, "-c", code, os.path.dirname(__file__)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == digest()


def test_a_vector_does_not_depend_on_what_was_embedded_before():
    embedder = HashingEmbedder()
    embedder.embed(["other words", "leaseExpired"])
    assert embedder.embed(SAMPLE) == HashingEmbedder().embed(SAMPLE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HTTPServer timeout", "http_server_timeout"),
        ("leaseExpiresAt", "LEASE EXPIRES AT"),
        ("Ｃａｆｅ́", "café"),
        ("ÉCOLE", "école"),
    ],
)
def test_identifiers_and_spellings_of_the_same_words_are_the_same(one, other):
    assert nearness(one, other) == pytest.approx(1)


def test_a_question_is_nearer_to_the_text_with_its_words():
    question = "how does a lease expire?"
    right = "A lease may expire while its worker still runs; the reaper frees the step then."
    wrong = "How does one of the bananas become yellow? Does it ripen in a bowl?"
    assert nearness(question, right) > nearness(question, wrong) + 0.1
    assert nearness("検索", "全文検索エンジン") > nearness("検索", "今日は天気がいい")


def test_the_order_of_words_counts():
    assert nearness("worker reaps lease", "worker reaps lease") > nearness("worker reaps lease", "lease reaps worker")


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_a_text_without_any_character_is_refused(text):
    with pytest.raises(StepError) as refused:
        HashingEmbedder().embed(["fine", text])
    assert (refused.value.reason, refused.value.error_class) == ("no words", ErrorClass.PERMANENT)


def test_pgvector_binary_is_dimension_zero_and_big_endian_floats():
    vector = array("f", [1.0, -2.5])
    assert to_pgvector_binary(vector) == bytes.fromhex("0002 0000 3f800000 c0200000")
    assert vector == array("f", [1.0, -2.5])
    assert from_pgvector_binary(to_pgvector_binary(vector)) == vector


def test_a_cut_off_vector_is_refused():
    with pytest.raises(ValueError, match="2 dimensions"):
        from_pgvector_binary(bytes.fromhex("0002 0000 3f800000"))
