"""Who is accused of silence, and in what words: the judgement alone, without a database."""

from __future__ import annotations

import time

import pytest

from leasehold.kernel.silences import Waiting
from leasehold.worker.board import Board
from leasehold.worker.silence import STILL_S, UNANSWERED_S, accusation
from leasehold.worker.standing import Doing, Standing

NOW = 1000.0
PARSE, PAUSED, STORE = (
    Waiting("parse", "", 7),
    Waiting("parse", "kind parse is paused by ann", 7),
    Waiting("store", "", 3),
)


def standing(doing: Doing = Doing.LOOKING, **more: float) -> Standing:
    given = {"claimed_s": NOW - 60, "asked_s": NOW - 1, "pulsed_s": NOW} | more
    return Standing(("chunk", "parse"), doing, **given)


@pytest.mark.parametrize(
    ("made", "waiting", "words"),
    [
        (standing(), [PARSE], "looks and takes nothing, though parse is ready"),
        (standing(), [STORE], "does not serve what waits (store); it serves chunk, parse"),
        (standing(), [PAUSED], "kind parse is paused by ann"),
        (standing(Doing.FAILING), [PARSE], "claims fail"),
        (standing(Doing.FULL), [PARSE], "cannot record"),
        (standing(Doing.ASKING, asked_s=NOW - UNANSWERED_S - 1), [PARSE], "no answer"),
        (standing(pulsed_s=NOW - STILL_S - 1), [PARSE], "stands still"),
    ],
)
def test_each_cause_has_its_sentence(made: Standing, waiting: list[Waiting], words: str):
    found = accusation(made, waiting, NOW, lambda kinds: True)
    assert found is not None
    assert words in found[0]


def test_what_a_limit_keeps_back_is_said_to_be_kept_back_by_one():
    """Ready and not paused, and yet a look by the claim's own statement offers nothing."""
    found = accusation(standing(), [PARSE], NOW, lambda kinds: False)
    assert found is not None
    assert "held back by a limit" in found[0]


@pytest.mark.parametrize(
    ("made", "waiting"),
    [(standing(), []), (standing(Doing.BUSY), [PARSE]), (standing(Doing.ALONE), [PARSE])],
)
def test_nobody_is_accused_who_works_or_has_nothing_to_do(made: Standing, waiting: list[Waiting]):
    assert accusation(made, waiting, NOW, lambda kinds: True) is None


def test_the_evidence_is_the_oldest_step_that_waits_for_this_worker():
    """Others' steps are not evidence while its own wait."""
    found = accusation(standing(), [STORE, PARSE], NOW, lambda kinds: True)
    assert found is not None
    assert found[1] == 7


def test_a_standing_passes_through_the_board_and_leaves_the_slots_alone():
    board = Board.create(2)
    assert board.standing() is None, "nothing was written yet"
    board.begin(1, token=5, step_id=6, timeout_s=10.0)
    board.count(3, 1)
    made = standing(Doing.FULL)
    board.stand(made)
    assert board.standing() == made
    assert board.counts() == (3, 1)
    assert [(one.slot, one.token) for one in board.working()] == [(1, 5)]
    board.stand(Standing(tuple(f"kind{n}" for n in range(500))))
    assert [(one.slot, one.token) for one in board.working()] == [(1, 5)], "too many names are cut"
    assert time.monotonic() - board.working()[0].started_s < 60
    board.close()


def test_calls_of_hooks_accuse_only_who_serves_them_and_other_work_only_others():
    """A keeper has a child for calls alone: it is not to blame for steps, nor are the others for calls that hang."""
    call = Waiting("hook", "", 5)
    for_calls = Standing(("hook",), Doing.LOOKING, claimed_s=NOW - 60, asked_s=NOW - 1, pulsed_s=NOW)
    for_both = Standing(("hook", "parse"), Doing.LOOKING, claimed_s=NOW - 60, asked_s=NOW - 1, pulsed_s=NOW)

    def oldest(made: Standing, *waiting: Waiting) -> int | None:
        found = accusation(made, waiting, NOW, lambda kinds: True)
        return found and found[1]

    assert oldest(standing(), call) is None
    assert oldest(standing(), call, STORE) == STORE.oldest
    assert oldest(for_calls, PARSE, STORE) is None
    assert oldest(for_calls, call, STORE) == call.oldest
    assert oldest(for_both, call) == call.oldest
    assert oldest(for_both, PARSE) == PARSE.oldest
