"""A sentence model in a folder: the published rules, computed here a second time in plain Python, on a small model."""

from __future__ import annotations

import json
import math
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.errors import UsageError
from leasehold.steps.local_embedding import LocalEmbedder
from leasehold.steps.wordpiece import WordPiece
from leasehold.testing.models import write_small_model
from leasehold.types import StepError

TEXTS = ["the roof was repaired", "Slate, tiles & rain!", "the the the", "unheard-of words 123", "é", "a"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_small_model(tmp_path / "small")


# -- the model, in plain Python ---------------------------------------------------------------------------------------


def read(folder: Path) -> dict[str, list]:
    data = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    found = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        start, end = entry["data_offsets"]
        flat = struct.unpack(f"<{(end - start) // 4}f", data[8 + length + start : 8 + length + end])
        rows = entry["shape"]
        found[name] = list(flat) if len(rows) == 1 else [list(flat[i * rows[1] :][: rows[1]]) for i in range(rows[0])]
    return found


def dense(weights, name, vector):
    bias = weights[name + ".bias"]
    return [sum(map(float.__mul__, row, vector)) + bias[at] for at, row in enumerate(weights[name + ".weight"])]


def normed(weights, name, vector):
    mean = sum(vector) / len(vector)
    spread = math.sqrt(sum((one - mean) ** 2 for one in vector) / len(vector) + 1e-12)
    gain, bias = weights[name + ".weight"], weights[name + ".bias"]
    return [(one - mean) / spread * gain[at] + bias[at] for at, one in enumerate(vector)]


def plus(left, right):
    return list(map(float.__add__, left, right))


def layer(weights, name, hidden, heads):
    def of(what):
        return [dense(weights, f"{name}attention.self.{what}", one) for one in hidden]

    queries, keys, values = of("query"), of("key"), of("value")
    size = len(hidden[0]) // heads
    mixed = []
    for query in queries:
        parts = []
        for head in range(heads):
            cut = slice(head * size, (head + 1) * size)
            scores = [math.exp(sum(map(float.__mul__, query[cut], key[cut])) / math.sqrt(size)) for key in keys]
            total = sum(scores)
            parts += [sum(s * v for s, v in zip(scores, column, strict=True)) / total
                      for column in zip(*(one[cut] for one in values), strict=True)]  # fmt: skip
        mixed.append(parts)
    seen = [plus(one, dense(weights, name + "attention.output.dense", m)) for one, m in zip(hidden, mixed, strict=True)]
    after = [normed(weights, name + "attention.output.LayerNorm", one) for one in seen]
    inner = [
        [0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in dense(weights, name + "intermediate.dense", one)]
        for one in after
    ]
    return [normed(weights, name + "output.LayerNorm", plus(one, dense(weights, name + "output.dense", i)))
            for one, i in zip(after, inner, strict=True)]  # fmt: skip


def by_hand(folder: Path, text: str) -> list[float]:
    """Mean of the last layer over the tokens, length 1."""
    weights, config = read(folder), json.loads((folder / "config.json").read_text())
    pieces = WordPiece((folder / "vocab.txt").read_text().split("\n"), lower=True)
    tokens = [pieces.first, *pieces.tokens(text), pieces.last]
    hidden = []
    for at, token in enumerate(tokens):
        one = plus(
            weights["embeddings.word_embeddings.weight"][token], weights["embeddings.position_embeddings.weight"][at]
        )
        one = plus(one, weights["embeddings.token_type_embeddings.weight"][0])
        hidden.append(normed(weights, "embeddings.LayerNorm", one))
    for number in range(config["num_hidden_layers"]):
        hidden = layer(weights, f"encoder.layer.{number}.", hidden, config["num_attention_heads"])
    mean = [sum(column) / len(hidden) for column in zip(*hidden, strict=True)]
    length = math.sqrt(sum(one * one for one in mean))
    return [one / length for one in mean]


def test_vectors_are_those_of_the_published_rules(folder):
    for text, vector in zip(TEXTS, LocalEmbedder(folder).embed(TEXTS), strict=True):
        assert vector == pytest.approx(by_hand(folder, text), abs=2e-6), text


def test_a_text_has_the_same_vector_alone_and_among_longer_ones(folder):
    embedder = LocalEmbedder(folder)
    together = embedder.embed([*TEXTS, "roof " * 12])
    for text, vector in zip(TEXTS, together, strict=False):
        assert embedder.embed([text])[0] == pytest.approx(list(vector), abs=1e-6)


def test_the_end_of_a_text_longer_than_the_model_sees_counts_too(folder):
    """The small model sees 16 tokens, two of which mark beginning and end: a piece of 14 and a piece of 12."""
    start, end = "roof " * 14, "slate rain tiles " * 4
    both = [16 * one + 14 * other for one, other in zip(by_hand(folder, start), by_hand(folder, end), strict=True)]
    expected = [one / math.hypot(*both) for one in both]
    assert LocalEmbedder(folder).embed([start + end])[0] == pytest.approx(expected, abs=2e-6)


def test_a_model_that_pools_by_its_first_token_is_pooled_so(folder):
    mean = LocalEmbedder(folder).embed(["the roof"])[0]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode_cls_token": true}')
    assert LocalEmbedder(folder).embed(["the roof"])[0] != mean


def test_the_version_follows_every_file_that_shapes_a_vector(folder, tmp_path):
    first = LocalEmbedder(folder).version
    assert LocalEmbedder(write_small_model(tmp_path / "again")).version == first
    assert LocalEmbedder(write_small_model(tmp_path / "other", seed=2)).version != first
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert LocalEmbedder(folder).version != first


def test_a_text_without_anything_to_see_fails_for_good(folder):
    with pytest.raises(StepError, match="no words"):
        LocalEmbedder(folder).embed(["\u200b \x00"])


def damage_nothing_there(folder):
    (folder / "model.safetensors").unlink()


def damage_no_weights(folder):
    (folder / "model.safetensors").write_bytes(b"")


def damage_cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def damage_header(folder):
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")


def damage_kind(folder):
    (folder / "config.json").write_text('{"model_type": "llama"}')


def damage_config(folder):
    (folder / "config.json").write_text('{"model_type": "bert", "hidden_size": "wide"}')


def damage_json(folder):
    (folder / "config.json").write_text("{")


def damage_vocabulary(folder):
    (folder / "vocab.txt").write_text("only\nwords\n")


def damage_wrong_vocabulary(folder):
    path = folder / "vocab.txt"
    path.write_text(path.read_text() + "".join(f"more{n}\n" for n in range(500)))


def damage_layers(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 9}))


@pytest.mark.parametrize("damage", [one for name, one in sorted(globals().items()) if name.startswith("damage_")])
def test_a_folder_that_is_no_model_is_named_with_what_to_give(folder, damage):
    damage(folder)
    with pytest.raises(UsageError) as caught:
        LocalEmbedder(folder)
    assert str(folder) in str(caught.value)
    assert caught.value.remedy


def test_a_machine_without_numpy_is_told_what_to_install(folder):
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from pathlib import Path; from leasehold.steps.local_embedding import LocalEmbedder\n"
        f"try: LocalEmbedder(Path({str(folder)!r}))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("UsageError")
    assert "leasehold[local]" in said


# -- WordPiece --------------------------------------------------------------------------------------------------------

WORDS = "[PAD] [UNK] [CLS] [SEP] un ##aff ##able cafe ! , run ##ning 漢 字 café Run"
VOCABULARY = WORDS.split()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("unaffable", ["un", "##aff", "##able"]),
        ("UNAFFABLE!", ["un", "##aff", "##able", "!"]),
        ("Café, running", ["cafe", ",", "run", "##ning"]),
        ("漢字", ["漢", "字"]),
        ("run\u200b\x00ning", ["run", "##ning"]),
        ("run\u00a0run\trun\n", ["run", "run", "run"]),
        ("runx", ["[UNK]"]),
        ("r" * 101, ["[UNK]"]),
        ("", []),
    ],
)
def test_words_are_cut_into_the_longest_pieces(text, pieces):
    assert WordPiece(VOCABULARY, lower=True).tokens(text) == [VOCABULARY.index(one) for one in pieces]


def test_a_cased_model_keeps_case_and_accents():
    cased = WordPiece(VOCABULARY, lower=False)
    assert cased.tokens("Run café") == [VOCABULARY.index("Run"), VOCABULARY.index("café")]


@given(st.text())
def test_every_text_has_tokens_within_the_vocabulary(text):
    assert all(0 <= one < len(VOCABULARY) for one in WordPiece(VOCABULARY, lower=random.random() < 0.5).tokens(text))
