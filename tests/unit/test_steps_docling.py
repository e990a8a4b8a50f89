"""docling-serve as a reader: one server per task, each kind of failure with its meaning, no more tries than said."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from leasehold.options import DoclingOptions
from leasehold.steps.docling import BREAKER_AFTER, Docling
from leasehold.steps.docling_document import parsed_of
from leasehold.testing.docling import DoclingServer
from leasehold.testing.models import Answer
from leasehold.types import Block, ErrorClass, Parsed, StepError

PDF = "application/pdf"
TEXT = b"# The roof\n\nSlate was laid.\n\n## Costs\n\nFour thousand.\fThe end of it."
NOWHERE = "http://127.0.0.1:9"


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now, self.waited = 1000.0, list[float]()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


@pytest.fixture
def server() -> Iterator[DoclingServer]:
    with DoclingServer() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


def client(clock: Clock, *servers: DoclingServer | str, key: str = "", **options: Any) -> Docling:
    urls = tuple(one if isinstance(one, str) else one.url for one in servers)
    return Docling(DoclingOptions(urls=urls, **options), api_key=key, clock=clock, sleep=clock.sleep)


def read(of: Docling, data: bytes = TEXT, **options: Any) -> Parsed:
    return of.read(data, PDF, **{"ocr": True, **options})


def failure(of: Docling, data: bytes = TEXT) -> StepError:
    with pytest.raises(StepError) as caught:
        read(of, data)
    assert sum(one.running for one in of.servers) == 0
    return caught.value


# -- what comes back --------------------------------------------------------------------------------------------------


def test_a_document_comes_back_with_its_pages_boxes_and_headings(server, clock):
    parsed = read(client(clock, server))
    assert parsed.title == "The roof"
    assert [(one.text, one.place, one.heading, one.line) for one in parsed.blocks] == [
        ("The roof", (("page", 1),), ("The roof",), 1),
        ("Slate was laid.", (("page", 1),), ("The roof",), 3),
        ("Costs", (("page", 1),), ("The roof", "Costs"), 5),
        ("Four thousand.", (("page", 1),), ("The roof", "Costs"), 7),
        ("The end of it.", (("page", 2),), ("The roof", "Costs"), 1),
    ]
    assert parsed.blocks[0].box == (72.0, 72.0, 300.0, 84.0), "from the top left corner"


def test_it_is_handed_over_once_under_a_name_of_ours_with_the_key_and_what_was_asked_for(clock):
    with DoclingServer(key="sekret") as server:
        read(client(clock, server, key="sekret"), ocr=False)
        (task,) = server.taken
        assert (task.name, task.data, task.form["do_ocr"]) == ("document.pdf", TEXT, "false")
        refused = failure(client(clock, server, key="wrong-key"))
    assert (refused.error_class, "wrong-key" in str(refused)) == (ErrorClass.TRANSIENT, False)


def test_a_server_that_does_not_wait_is_not_asked_without_pause(clock):
    with DoclingServer(polls=4) as server:
        read(client(clock, server, poll_s=3.0))
    assert clock.waited == [3.0] * 4


def test_each_sign_of_life_says_that_it_goes_on(server, clock):
    said: list[int] = []
    read(client(clock, server), goes_on=lambda: said.append(1))
    assert len(said) == 3, "taken, and two answers about its status"


def test_a_document_of_which_parts_failed_is_stored_with_a_note(server, clock):
    server.partial.add(b"Slate")
    assert read(client(clock, server)).notes == ("docling: page 2 broke",)


# -- not taken --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_waited_for_as_long_as_it_says_and_that_is_no_attempt(server, clock, status):
    server.fail("submit", Answer(status=status, headers={"Retry-After": "7"}))
    of = client(clock, server)
    busy = failure(of)
    assert (busy.error_class, busy.retry_after_s) == (ErrorClass.RESOURCE, 7.0)
    clock.now += 6.9
    assert failure(of).error_class is ErrorClass.RESOURCE
    assert server.taken == [], "it was not asked before its time"
    clock.now += 0.2
    assert read(of).blocks


def test_another_server_takes_what_one_does_not(server, clock):
    with DoclingServer() as busy:
        busy.fail("submit", Answer(status=429))
        of = client(clock, NOWHERE, busy, server)
        assert read(of).blocks
    assert (len(busy.taken), len(server.taken)) == (0, 1)


def test_servers_without_connection_are_asked_less_and_less_and_one_that_is_back_takes_over(server, clock):
    of = client(clock, NOWHERE)
    waits = []
    for _ in range(BREAKER_AFTER + 2):
        away = failure(of)
        assert (away.reason, away.error_class) == ("no docling server takes it", ErrorClass.RESOURCE)
        waits.append(round(away.retry_after_s or 0))
        clock.now += waits[-1] + 0.5
    assert waits == [0, 0, 30, 60, 120]
    of.servers[0].url = server.url
    assert read(of).blocks
    assert of.servers[0].failures == 0


def test_documents_go_to_the_server_that_has_the_least_to_do(clock):
    """Method: two documents at once, at two servers that both hold their answers back."""
    with DoclingServer(polls=3, honest_wait=True) as one, DoclingServer(polls=3, honest_wait=True) as two:
        of = Docling(DoclingOptions(urls=(one.url, two.url), poll_s=0.2))
        threads = [threading.Thread(target=read, args=(of,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(one.taken), len(two.taken)) == (1, 1)


# -- lost -------------------------------------------------------------------------------------------------------------


def test_a_task_that_a_restart_has_lost_is_handed_over_again(server, clock):
    server.forget_next()
    assert read(client(clock, server)).blocks
    assert len(server.taken) == 2


def test_a_result_that_is_gone_is_made_again(server, clock):
    server.fail("result", Answer(status=404, body='{"detail": "Task result not found."}'))
    assert read(client(clock, server)).blocks
    assert len(server.taken) == 2


def test_a_document_that_is_lost_each_time_fails_for_good_after_as_many_as_are_allowed(server, clock):
    server.forget_next(100)
    lost = failure(client(clock, server, submissions_max=3))
    assert (lost.reason, lost.error_class) == ("lost by docling", ErrorClass.PERMANENT)
    assert len(server.taken) == 3


# -- failed -----------------------------------------------------------------------------------------------------------


def test_a_task_that_fails_is_permanent_and_says_why(server, clock):
    server.failing_tasks.add(b"Slate")
    failed = failure(client(clock, server))
    assert (failed.error_class, "the pipeline broke" in failed.detail) == (ErrorClass.PERMANENT, True)
    assert len(server.taken) == 1


def test_a_document_that_fails_inside_a_task_that_succeeded_is_a_failure(server, clock):
    server.broken.add(b"Slate")
    failed = failure(client(clock, server))
    assert (failed.error_class, "page 2 broke" in failed.detail) == (ErrorClass.PERMANENT, True)
    assert len(server.taken) == 1


def test_a_document_without_text_is_an_error_and_a_picture_without_text_has_none(server, clock):
    assert failure(client(clock, server), b" \f ").reason == "no text from docling"
    assert client(clock, server).read(b" ", "image/png", ocr=True).blocks == ()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_document_that_is_refused_fails_for_good(server, clock, status):
    server.fail("submit", Answer(status=status, body='{"detail": "too large"}'))
    refused = failure(client(clock, server))
    assert (refused.error_class, "too large" in refused.detail) == (ErrorClass.PERMANENT, True)


def test_a_task_that_is_never_done_ends_by_the_clock(clock):
    with DoclingServer(polls=10_000) as server:
        late = failure(client(clock, server, timeout_s=60.0))
        assert (late.reason, late.error_class) == ("over its time", ErrorClass.PERMANENT)
        assert clock.now - 1000.0 == pytest.approx(60.0, abs=1.0)
        assert len(server.taken) == 1


# -- unknown ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Answer(hang_up=True), Answer(status=500, body="oops"), Answer(body="<html>")])
def test_a_document_that_may_have_arrived_is_not_sent_again_within_the_attempt(server, clock, answer):
    server.fail("submit", answer)
    of = client(clock, server)
    assert failure(of).error_class is ErrorClass.TRANSIENT
    assert server.taken == []
    clock.now += 1
    assert read(of).blocks


def test_the_server_that_has_the_task_is_asked_until_it_answers_and_no_other(server, clock):
    trouble = [Answer(hang_up=True), Answer(status=500), Answer(status=503, headers={"Retry-After": "3"})]
    with DoclingServer() as other:
        server.fail("status", *trouble)
        server.fail("result", *trouble)
        of = client(clock, server, other)
        assert read(of).blocks
    assert (len(server.taken), len(other.taken)) == (1, 0)
    assert clock.waited.count(3.0) == 2


def test_a_server_that_goes_away_with_the_task_costs_an_attempt_in_the_end(clock):
    with DoclingServer() as server:
        server.fail("status", *[Answer(hang_up=True)] * 100)
        gone = failure(client(clock, server, timeout_s=30.0))
    assert (gone.reason, gone.error_class) == ("no answer from docling", ErrorClass.TRANSIENT)
    assert len(server.taken) == 1


def test_sockets_are_closed_with_the_client(server, clock):
    of = client(clock, server)
    read(of)
    assert server.connections >= 1
    of.close()
    gc.collect()
    give_up = threading.Event()
    for _ in range(500):
        if server.connections == 0:
            break
        give_up.wait(0.01)
    assert server.connections == 0


# -- documents --------------------------------------------------------------------------------------------------------


def test_tables_lists_captions_pictures_and_inline_groups_are_read_in_order_and_furniture_is_not():
    page = [{"page_no": 1, "bbox": {"l": 1, "t": 2, "r": 3, "b": 4, "coord_origin": "TOPLEFT"}}]

    def text(number: int, said: str, label: str = "text", **more: Any) -> dict[str, Any]:
        return {"self_ref": f"#/texts/{number}", "label": label, "text": said, "orig": said, "prov": page, **more}

    def cell(row: int, column: int, said: str) -> dict[str, Any]:
        return {"start_row_offset_idx": row, "start_col_offset_idx": column, "text": said}

    document = {
        "body": {"children": [{"$ref": name} for name in (
            "#/texts/0", "#/texts/1", "#/groups/0", "#/tables/0", "#/pictures/0", "#/groups/1", "#/texts/0", "#/texts/9"
        )]},
        "texts": [
            text(0, "Page 1 of 9", "page_header", content_layer="furniture"),
            text(1, "Report", "title"),
            text(2, "first", "list_item", marker="1."),
            text(3, "second", "list_item"),
            text(4, "Table 1: rents", "caption"),
            text(5, "in"), text(6, "line"),
            text(7, "in the picture"),
        ],
        "groups": [
            {"self_ref": "#/groups/0", "label": "list", "children": [{"$ref": "#/texts/2"}, {"$ref": "#/texts/3"}]},
            {"self_ref": "#/groups/1", "label": "inline", "children": [{"$ref": "#/texts/5"}, {"$ref": "#/texts/6"}]},
        ],
        "tables": [{"label": "table", "prov": page, "captions": [{"$ref": "#/texts/4"}],
                    "data": {"table_cells": [cell(1, 1, "900"), cell(0, 0, "flat"), cell(0, 1, "rent"),
                                             cell(1, 0, "A\nB")]}}],
        "pictures": [{"label": "picture", "prov": page, "children": [{"$ref": "#/texts/7"}],
                      "annotations": [{"kind": "description", "text": "a roof"}]}],
        "pages": {},
    }  # fmt: skip
    parsed = parsed_of(document)
    assert [one.text for one in parsed.blocks] == [
        "Report", "1. first", "- second", "Table 1: rents", "flat | rent\nA B | 900", "a roof", "in the picture",
        "in line",
    ]  # fmt: skip
    assert parsed.blocks[0].box == (1.0, 2.0, 3.0, 4.0)
    assert {one.heading for one in parsed.blocks} == {("Report",)}
    assert parsed.blocks[-1].place == (("counts", "paragraph"),)


def test_a_document_without_pages_counts_paragraphs_and_one_that_runs_in_a_circle_ends():
    document = {
        "body": {"children": [{"$ref": "#/groups/0"}]},
        "groups": [
            {"label": "list", "children": [{"$ref": "#/texts/0"}, {"$ref": "#/groups/0"}, {"$ref": "#/texts/1"}]}
        ],
        "texts": [{"label": "text", "text": "one"}, {"label": "text", "text": "two\x00"}],
    }
    assert parsed_of(document).blocks == (
        Block("one", 1, (), (("counts", "paragraph"),)),
        Block("two", 2, (), (("counts", "paragraph"),)),
    )


@pytest.mark.parametrize(
    "document",
    [None, {}, [], {"body": {"children": [1]}}, {"body": {"children": [{"$ref": 7}]}},
     {"body": {"children": [{"$ref": "#/texts/0"}]}, "texts": [{"prov": [{"page_no": "x"}], "text": "x"}]}],
)  # fmt: skip
def test_what_is_no_document_is_a_failure_with_a_remedy(document):
    with pytest.raises(StepError) as caught:
        parsed_of(document)
    assert (caught.value.reason, bool(caught.value.remedy)) == ("no document in docling's answer", True)
