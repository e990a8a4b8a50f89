"""Claims over HTTP, as a REST layer that cuts long answers serves them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from rest import ROWS_MAX, serving
from table_of_thoughts import Table

MANY = 1200


class Http:
    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, function: str, prefer: str = "", **arguments: Any) -> tuple[int, Any, str | None]:
        """(status, body, Content-Range)."""
        headers = {"Content-Type": "application/json"} | ({"Prefer": prefer} if prefer else {})
        request = Request(f"{self.url}/rpc/{function}", json.dumps(arguments).encode(), headers)
        try:
            with urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read()), answer.headers["Content-Range"]
        except HTTPError as error:
            return error.code, json.loads(error.read()), None


@pytest.fixture
def http(table: Table) -> Iterator[Http]:
    with serving(table.url) as url:
        yield Http(url)


WHO = {"p_work_type": "w", "p_worker_id": "a"}


def test_more_than_a_thousand_claims_are_all_told_through_a_layer_that_cuts_rows(table: Table, http: Http):
    ids = [str(one) for one in table.add(2 * MANY)]
    status, claims, span = http.post("claim_thoughts_json", p_thought_ids=ids[:MANY], **WHO)
    assert (status, [one["id"] for one in claims], span) == (200, ids[:MANY], None)
    _, more, _ = http.post("claim_next_thoughts_json", p_limit=MANY, **WHO)
    assert [one["id"] for one in more] == ids[MANY:]
    _, held, _ = http.post("renew_thought_claims_json", p_tokens=[one["token"] for one in claims], **WHO)
    assert [one["id"] for one in held] == ids[:MANY]
    assert set(held[0]) == {"id", "token", "expires_at"}


def test_what_a_cut_answer_did_not_tell_is_held_and_a_renewal_tells_it(table: Table, http: Http):
    """The functions that return rows are cut, and a layer says so only when it is asked to count."""
    ids = [str(one) for one in table.add(MANY)]
    status, told, span = http.post("claim_thoughts", p_thought_ids=ids, **WHO)
    assert (status, len(told), span) == (200, ROWS_MAX, f"0-{ROWS_MAX - 1}/*")
    assert table.one("select count(*) from thought_work_claims where status = 'claimed'") == MANY
    status, _, span = http.post("renew_thought_claims", prefer="count=exact", **WHO)
    assert (status, span) == (206, f"0-{ROWS_MAX - 1}/{MANY}")
    _, held, _ = http.post("renew_thought_claims_json", **WHO)
    assert {one["id"] for one in held} - set(told) == set(ids) - set(told)
    assert http.post("release_thought_claims_for_worker", **WHO)[1] == MANY


def test_errors_have_their_code_and_hint_in_the_body(table: Table, http: Http):
    status, body, _ = http.post("claim_next_thoughts", p_ttl_seconds=0, **WHO)
    assert (status, body["code"]) == (400, "LC002")
    assert "whole seconds above 0" in body["hint"]
    status, body, _ = http.post("claim_next_thoughts_json", p_work="w")
    assert (status, body["code"]) == (404, "PGRST202")


def test_a_release_by_names_answers_a_plain_true(table: Table, http: Http):
    (only,) = table.add(1)
    _, (claim,), _ = http.post("claim_next_thoughts", **WHO)
    arguments = {"p_thought_id": str(only), "p_status": "succeeded", "p_token": claim["token"]}
    assert http.post("release_thought", **arguments, **WHO)[:2] == (200, True)
    assert http.post("release_thought", **arguments, **WHO)[:2] == (200, False)
    assert http.post("thought_claims_remaining", p_work_type="w")[1][0]["waiting"] == 0
