"""Log lines: which step they are about, in words and as JSON, and never a secret."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading

import pytest

from leasehold.logs import ABOUT, JSON, TEXT, NotAgain, about, redact, set_up
from leasehold.types import StepLease

STEP = StepLease(17 * 1024 + 3, 812, 1)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch):
    """A logger set up as a worker's, and what it wrote: (set up, lines)."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level

    def begin(form: str, level: str = "WARNING") -> None:
        for handler in root.handlers[:]:
            root.removeHandler(handler)
        monkeypatch.setattr(sys, "stderr", stream)
        set_up(level, form)

    yield begin, lambda: stream.getvalue().splitlines()
    root.handlers[:], root.level = before, level


def test_a_line_written_at_work_says_which_step_whoever_writes_it(said):
    """In the step's own code, its tasks, and threads that it starts the usual way."""
    begin, lines = said
    begin(JSON)
    theirs = logging.getLogger("somebody.else")

    async def work() -> None:
        ABOUT.set(STEP)
        theirs.warning("direct")
        await asyncio.create_task(asyncio.sleep(0))
        await asyncio.to_thread(theirs.warning, "in a thread")
        ABOUT.set(None)
        theirs.warning("after")

    asyncio.run(work())
    direct, thread, after = (json.loads(line) for line in lines())
    for one in (direct, thread):
        assert (one["run"], one["step"], one["token"]) == (17, "17.3", 812)
    assert direct["logger"] == "somebody.else"
    assert direct["level"] == "warning"
    assert direct["at"].endswith("+00:00")
    assert "step" not in after


def test_another_thread_s_lines_are_not_about_this_step(said):
    begin, lines = said
    begin(JSON)
    ABOUT.set(STEP)
    other = threading.Thread(target=logging.getLogger("x").warning, args=("elsewhere",))
    other.start()
    other.join()
    ABOUT.set(None)
    assert "step" not in json.loads(lines()[0])


def test_a_line_about_a_step_that_is_not_at_work_names_it_itself_and_a_page_has_a_token_only(said):
    begin, lines = said
    begin(TEXT)
    logging.getLogger("x").warning("refused", extra=about(STEP))
    logging.getLogger("x").warning("broke", extra=about(StepLease(0, 9, 0)))
    assert lines() == ["refused [run=17 step=17.3 token=812]", "broke [token=9]"]


def test_json_is_one_object_a_line_with_its_trace_and_the_same_line_of_another_step_is_another_line(said):
    begin, lines = said
    begin(JSON)
    log = logging.getLogger("x")
    try:
        int("no number")
    except ValueError:
        log.exception("it broke\nin two lines")
    for step in (STEP, STEP, StepLease(18 * 1024, 900, 1)):
        log.warning("the same", extra=about(step))
    broke, first, second = (json.loads(line) for line in lines())
    assert broke["message"] == "it broke\nin two lines"
    assert "ValueError" in broke["trace"]
    assert (first["step"], second["step"]) == ("17.3", "18.0")


SECRETS = [
    ("postgresql://me:hunter2@db/x", "hunter2"),
    ("password='hunter 2' host=x", "hunter 2"),
    ('{"api_key": "abc12345secret"}', "abc12345secret"),
    ("OPENAI_API_KEY=abc12345secret", "abc12345secret"),
    ("Authorization: Bearer abc12345.secret", "abc12345.secret"),
    ("key sk-proj-abcdefgh12345 refused", "abcdefgh12345"),
    ("secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
@pytest.mark.parametrize("form", [TEXT, JSON])
@pytest.mark.parametrize("level", ["WARNING", "DEBUG"])
def test_no_form_of_line_has_a_secret_not_even_in_a_trace(said, form, level, text, secret):
    begin, lines = said
    begin(form, level)
    assert secret not in redact(text)
    try:
        {}[text]
    except KeyError:
        logging.getLogger("x").exception("it failed: %s", text)
    assert lines()
    assert secret not in "\n".join(lines())


@pytest.mark.parametrize(
    "text", ["step 17.3 under token 812", "bearer of bad news", "the password of the database is wrong", "basic text"]
)
def test_words_that_are_no_secrets_stay(text):
    assert redact(text) == text


def test_a_line_is_said_once_in_a_while():
    again = NotAgain()
    record = logging.LogRecord("x", logging.WARNING, "", 0, "away", (), None)
    assert [again.filter(record) for _ in range(3)] == [True, False, False]
