"""A model behind an address: what is sent, what is believed of the answer, and what each failure means for a step."""

from __future__ import annotations

import json
from array import array
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.steps.remote_embedding import RemoteEmbedder, RemoteOptions, requests_of, retry_after_s, tokens_of
from leasehold.testing.models import Answer, ModelServer
from leasehold.types import ErrorClass, StepError


@pytest.fixture
def server():
    with ModelServer() as running:
        yield running


def embedder(server, *, clock=None, **options):
    given = {"model": server.model, "base_url": server.url, "api_key": server.key, "timeout_s": 5.0, **options}
    return RemoteEmbedder(RemoteOptions(**given), **({"clock": clock} if clock else {}))


def failure(call) -> StepError:
    with pytest.raises(StepError) as caught:
        call()
    return caught.value


def vector_of(server, text):
    return embedder(server).embed([text])[0]


# -- requests ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=40), max_size=30), st.integers(1, 5), st.integers(1, 20))
def test_requests_keep_every_text_in_order_and_both_bounds(texts, texts_max, tokens_max):
    pages = list(requests_of(texts, texts_max=texts_max, tokens_max=tokens_max))
    assert [text for page in pages for text in page] == texts
    for page in pages:
        assert 1 <= len(page) <= texts_max
        assert len(page) == 1 or sum(map(tokens_of, page)) <= tokens_max


def test_texts_go_out_in_bounded_requests_with_the_key(server):
    embedder(server, texts_max=4).embed([f"text {n}" for n in range(10)])
    assert [len(asked.texts) for asked in server.asked] == [4, 4, 2]
    assert all(asked.authorized for asked in server.asked)


def test_a_width_that_is_asked_for_is_what_comes(server):
    assert len(embedder(server, dimensions=16).embed(["short"])[0]) == 16


# -- answers ----------------------------------------------------------------------------------------------------------


def test_vectors_are_the_same_as_base64_and_as_numbers():
    with ModelServer() as both, ModelServer(encodings=("float",)) as numbers:
        assert vector_of(both, "one two three") == vector_of(numbers, "one two three")
        assert [asked.encoding for asked in both.asked] == ["base64"]


def test_a_server_that_knows_only_numbers_is_asked_for_base64_once():
    with ModelServer(encodings=("float",)) as server:
        client = embedder(server)
        client.embed(["one"])
        client.embed(["two"])
        assert [asked.encoding for asked in server.asked] == ["base64", "float", "float"]


def test_vectors_go_to_their_texts_by_index_not_by_order():
    texts = ["alpha beta", "gamma delta", "epsilon"]
    with ModelServer(shuffled=True) as shuffled, ModelServer() as plain:
        assert embedder(shuffled).embed(texts) == embedder(plain).embed(texts)


def test_the_width_is_learnt_by_asking_once(server):
    client = embedder(server)
    assert client.probe() == client.dimensions == server.dimensions


def test_another_width_than_expected_is_refused_for_good(server):
    client = embedder(server)
    client.dimensions = 384
    error = failure(lambda: client.embed(["text"]))
    assert (error.reason, error.error_class) == ("other width", ErrorClass.PERMANENT)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>gateway</html>",
        "[]",
        "{}",
        '{"data": []}',
        '{"data": [{"index": 1, "embedding": [1.0]}]}',
        '{"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]}',
        '{"data": [{"index": 0, "embedding": "not base64!"}]}',
        '{"data": [{"index": 0, "embedding": "AAA="}]}',
        '{"data": [{"index": 0, "embedding": ["x"]}]}',
        '{"data": [{"index": 0, "embedding": []}]}',
        '{"data": [{"index": 0, "embedding": [0.0, 0.0]}]}',
        '{"data": [{"index": 0, "embedding": [NaN, 1.0]}]}',
        '{"data": [{"index": 0, "embedding": [1e400, 1.0]}]}',
        '{"data": [null]}',
    ],
)
def test_an_answer_that_is_no_vector_is_an_attempt_and_stores_nothing(server, body):
    server.fail(Answer(body=body))
    error = failure(lambda: embedder(server).embed(["text"]))
    assert error.error_class is ErrorClass.TRANSIENT
    assert error.remedy


# -- failures ---------------------------------------------------------------------------------------------------------


def test_busy_is_no_attempt_and_every_request_of_the_process_waits_for_retry_after(server):
    now = [100.0]
    client = embedder(server, clock=lambda: now[0])
    server.fail(Answer(status=429, headers={"Retry-After": "7"}))
    first = failure(lambda: client.embed(["one"]))
    assert (first.error_class, first.retry_after_s) == (ErrorClass.RESOURCE, 7.0)
    now[0] += 3.0
    second = failure(lambda: client.embed(["two"]))
    assert (second.error_class, second.retry_after_s) == (ErrorClass.RESOURCE, 4.0)
    assert len(server.asked) == 1
    now[0] += 4.0
    assert client.embed(["two"])


def test_a_used_up_quota_waits_longer_and_says_so(server):
    body = json.dumps({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})
    server.fail(Answer(status=429, body=body))
    error = failure(lambda: embedder(server).embed(["one"]))
    assert error.error_class is ErrorClass.RESOURCE
    assert "quota" in error.reason
    assert error.retry_after_s == 300.0


@pytest.mark.parametrize("answer", [Answer(status=500, body="oops"), Answer(status=502), Answer(hang_up=True)])
def test_a_failing_server_is_an_attempt(server, answer):
    now = [100.0]
    server.fail(answer)
    client = embedder(server, clock=lambda: now[0])
    assert failure(lambda: client.embed(["one"])).error_class is ErrorClass.TRANSIENT
    waits = failure(lambda: client.embed(["two"]))
    assert (waits.error_class, waits.retry_after_s) == (ErrorClass.RESOURCE, 0.5)
    assert len(server.asked) == 1, "what comes within half a second is not spent on it, and is not charged"
    now[0] += 0.5
    assert client.embed(["one"])


def test_no_answer_in_time_is_an_attempt(server):
    server.fail(Answer(delay_s=1.0))
    error = failure(lambda: embedder(server, timeout_s=0.2).embed(["one"]))
    assert (error.reason, error.error_class) == ("no answer from the model", ErrorClass.TRANSIENT)


def test_nobody_at_the_address_is_an_attempt():
    with ModelServer() as server:
        url = server.url
    client = RemoteEmbedder(RemoteOptions(model="m", base_url=url, timeout_s=2.0))
    assert failure(lambda: client.embed(["one"])).reason == "no connection to the model"


def test_a_wrong_key_is_an_attempt_and_stands_in_no_message(server):
    error = failure(lambda: embedder(server, api_key="sk-secret-nobody-may-see").embed(["one"]))
    assert (error.reason, error.error_class) == ("the model refused the key", ErrorClass.TRANSIENT)
    server.fail(Answer(status=500, body="your key sk-secret-nobody-may-see is odd"))
    other = failure(lambda: embedder(server, api_key="sk-secret-nobody-may-see").embed(["one"]))
    assert "secret" not in f"{error} {error.remedy} {other} {other.remedy}"


def test_an_unknown_model_is_an_attempt_for_it_says_nothing_about_the_text(server):
    error = failure(lambda: embedder(server, model="another").embed(["one"]))
    assert (error.reason, error.error_class) == ("no such model or address", ErrorClass.TRANSIENT)
    assert "another" in error.detail


def test_the_text_that_a_model_refuses_is_found_and_its_neighbours_are_embedded():
    with ModelServer(text_chars_max=100) as server:
        client = embedder(server)
        texts = ["fine"] * 5 + ["x" * 200] + ["fine too"] * 3
        error = failure(lambda: client.embed(texts))
        assert (error.reason, error.error_class) == ("text refused by the model", ErrorClass.PERMANENT)
        assert "200 characters" in error.detail
        assert {len(asked.texts) for asked in server.asked} > {1}
        assert len(client.embed(texts[:5] + texts[6:])) == 8


def test_a_request_with_too_many_texts_for_the_server_is_halved_until_it_fits():
    with ModelServer(texts_max=3) as server:
        vectors = embedder(server).embed([f"number {n}" for n in range(10)])
        assert vectors == [vector_of(server, f"number {n}") for n in range(10)]


# -- Retry-After ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 5.0),
        ("", 5.0),
        ("3", 3.0),
        ("0", 0.0),
        ("2.5", 2.5),
        ("-4", 0.0),
        ("1e9", 3600.0),
        ("nan", 5.0),
        ("soon", 5.0),
    ],
)
def test_retry_after_in_seconds(value, seconds):
    assert retry_after_s(value, 5.0) == seconds


def test_retry_after_as_a_date():
    at = datetime.now(UTC) + timedelta(seconds=120)
    assert 100 < retry_after_s(format_datetime(at, usegmt=True), 5.0) <= 120
    assert retry_after_s("Mon, 01 Jan 2001 00:00:00 GMT", 5.0) == 0.0


def test_vectors_are_float32(server):
    assert all(isinstance(one, array) and one.typecode == "f" for one in embedder(server).embed(["a", "b"]))
