"""What can be derived from a pooler's address, row by row. Nothing here connects anywhere."""

from __future__ import annotations

import threading

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from leasehold.db import deriving, routes
from leasehold.db.probing import Identity, Mode, NotUsable, Probed
from leasehold.db.target import Target
from leasehold.errors import RouteMismatch, UsageError

PROJECT = "abcdefghijklmnopqrst"
HERE = Identity("shop", 16384, "2026-01-01 00:00:00+00", False, "7000")
SUPABASE = f"postgresql://postgres.{PROJECT}:secret@aws-0-eu-west-1.pooler.supabase.com:6543/postgres?sslmode=require"


def derived(url: str) -> list[tuple[str, str, str]]:
    """(host, port, user) of each candidate."""
    found = [conninfo_to_dict(one.conninfo) for one in deriving.candidates(url)]
    return [(str(one.get("host")), str(one.get("port", "")), str(one.get("user", ""))) for one in found]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(
            SUPABASE,
            [
                (f"db.{PROJECT}.supabase.co", "5432", "postgres"),
                ("aws-0-eu-west-1.pooler.supabase.com", "5432", f"postgres.{PROJECT}"),
            ],
            id="supabase, transaction mode",
        ),
        pytest.param(
            SUPABASE.replace("6543", "5432"),
            [(f"db.{PROJECT}.supabase.co", "5432", "postgres")],
            id="supabase, session mode: it is the fallback itself",
        ),
        pytest.param(
            SUPABASE.replace(f".{PROJECT}", ""),
            [("aws-0-eu-west-1.pooler.supabase.com", "5432", "postgres")],
            id="supabase, no project in the user's name",
        ),
        pytest.param(
            SUPABASE.replace(PROJECT, "evil.example%2F"),
            [("aws-0-eu-west-1.pooler.supabase.com", "5432", "postgres.evil.example/")],
            id="supabase, a user name that would lead elsewhere",
        ),
        pytest.param(
            f"postgresql://postgres:s@db.{PROJECT}.supabase.co:6543/postgres",
            [(f"db.{PROJECT}.supabase.co", "5432", "postgres")],
            id="supabase, dedicated pooler",
        ),
        pytest.param(
            "postgresql://me:s@ep-cool-sun-123-pooler.eu-central-1.aws.neon.tech/shop?sslmode=require",
            [("ep-cool-sun-123.eu-central-1.aws.neon.tech", "", "me")],
            id="neon's pooler host",
        ),
        pytest.param(
            "postgresql://me@ep-cool-sun-123.eu-central-1.aws.neon.tech/shop", [], id="neon's server: nothing to derive"
        ),
        pytest.param("postgresql://me@pg.example:6432/shop", [("pg.example", "5432", "me")], id="PgBouncer's port"),
        pytest.param("host=pg.example port=6432 user=me dbname=shop", [("pg.example", "5432", "me")], id="in words"),
        pytest.param("postgresql://me@10.0.0.5:6543/shop", [("10.0.0.5", "5432", "me")], id="port 6543"),
        pytest.param(
            "postgresql://me@/shop?host=/run/pg&port=6432", [("/run/pg", "5432", "me")], id="a socket's folder"
        ),
        pytest.param("postgresql://me@pg.example:5432/shop", [], id="a server's port: nothing to derive"),
        pytest.param("postgresql://me@pg.example/shop", [], id="no port: nothing to derive"),
        pytest.param("postgresql://me@/shop", [], id="no host: nothing to derive"),
        pytest.param("postgresql://me@a.example:6432,b.example:6432/shop", [], id="several hosts: nothing to derive"),
        pytest.param("postgresql://me@x-pooler.example.com:5432/shop", [], id="-pooler elsewhere says nothing"),
        pytest.param("not an address", [], id="not an address"),
    ],
)
def test_known_poolers_addresses_lead_to_candidates(url: str, expected: list[tuple[str, str, str]]):
    assert derived(url) == expected


def test_a_candidate_keeps_everything_else_of_the_address_and_hides_it():
    """Password and TLS settings go along; neither stands in what the candidate prints."""
    first = deriving.candidates(SUPABASE)[0]
    parts = conninfo_to_dict(first.conninfo)
    assert (parts["password"], parts["sslmode"], parts["dbname"]) == ("secret", "require", "postgres")
    assert "secret" not in repr(first)
    moved = deriving.candidates("postgresql://me@pg.example:6432/shop?hostaddr=10.0.0.5")[0]
    assert conninfo_to_dict(moved.conninfo)["hostaddr"] == "10.0.0.5"


# -- what is made of them: the chain, with scripted answers -----------------------------------------------------------


class Net:
    """Scripted answers by host and port; whatever is not named does not answer."""

    def __init__(self, **answers: Probed) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def name(self, conninfo: str) -> str:
        parts = routes.parts(conninfo)
        host = parts.get("host", "")
        kind = "pooler" if "pooler" in host else "db"
        return f"{kind}{parts.get('port', '5432')}"

    def probe(self, conninfo: str) -> Probed:
        name = self.name(conninfo)
        self.asked.append(name)
        if name not in self.answers:
            raise NotUsable("connection failed: Network is unreachable")
        return self.answers[name]

    def identify(self, conninfo: str) -> Identity:
        return self.probe(conninfo).identity

    def look(self, conninfo: str) -> tuple[Mode, str]:
        probed = self.probe(conninfo)
        return probed.mode, probed.how

    def find(self, target: Target) -> routes.Found:
        return routes.find(target, probe=self.probe, identify=self.identify, look=self.look)


def answer(mode: Mode = Mode.SERVER, identity: Identity = HERE, **more: object) -> Probed:
    given = {"state_survives": True, "listen_ms": 1.0} | more
    return Probed(mode, "seen", identity, "18.6", 0.5, **given)  # type: ignore[arg-type]


POOLER = answer(Mode.TRANSACTION_POOLER, state_survives=None, listen_ms=None)


def test_the_server_is_preferred_to_the_poolers_session_mode():
    net = Net(pooler6543=POOLER, db5432=answer(), pooler5432=answer(Mode.SESSION_POOLER))
    found = net.find(Target(url=SUPABASE))
    assert found.direct.origin.endswith("Supabase's server of this project")
    assert (found.direct.shared, found.pooled.shared, found.direct.degraded) == (None, True, "")
    assert "pooler5432" not in net.asked


def test_a_server_that_has_only_an_ipv6_address_falls_back_to_the_poolers_session_mode():
    """The direct host does not answer from here; the reason is kept."""
    net = Net(pooler6543=POOLER, pooler5432=answer(Mode.SESSION_POOLER))
    found = net.find(Target(url=SUPABASE))
    assert found.direct.mode == Mode.SESSION_POOLER
    assert found.direct.shared is False
    assert "unreachable" in found.tried[0].why


def test_without_any_of_them_everything_is_polled_through_the_pooler_and_that_is_said():
    net = Net(pooler6543=POOLER)
    found = net.find(Target(url=SUPABASE))
    assert found.one
    assert found.direct.shared is True
    assert "polling" in found.direct.degraded
    assert "unreachable" in found.direct.degraded
    assert not found.settled, "it may come back, and is looked for again"


def test_an_explicit_direct_url_comes_first():
    net = Net(pooler6543=POOLER, db5433=answer(), db5432=answer())
    found = net.find(Target(url=SUPABASE, direct_url="postgresql://me@db.example:5433/postgres"))
    assert found.direct.origin == "database.direct_url"


def test_an_explicit_direct_url_to_another_database_is_refused():
    """Not left out: half the work would go to another place, and whoever set it means something."""
    other = Identity("shop", 16384, "2026-02-02 00:00:00+00", False, "7001")
    net = Net(pooler6543=POOLER, db5433=answer(identity=other))
    with pytest.raises(RouteMismatch, match="started at another time"):
        net.find(Target(url=SUPABASE, direct_url="postgresql://me@db.example:5433/postgres"))


@pytest.mark.parametrize(
    ("probed", "why"),
    [
        (answer(identity=Identity("other", 16384, HERE.started, False, "7000")), "called other"),
        (answer(identity=Identity("shop", 5, HERE.started, False, "7000")), "oid"),
        (answer(identity=Identity("shop", 16384, "2025", False, "7000")), "started at another time"),
        (answer(identity=Identity("shop", 16384, HERE.started, False, "7001")), "another time"),
        (answer(identity=Identity("shop", 16384, HERE.started, True, "7000")), "standby"),
        (POOLER, "transaction mode itself"),
        (answer(state_survives=False), "session state"),
        (answer(listen_ms=None), "notification"),
    ],
)
def test_a_derived_address_is_believed_only_after_every_probe(probed: Probed, why: str):
    net = Net(db6432=POOLER, db5432=probed)
    found = net.find(Target(url="postgresql://me@pg.example:6432/shop"))
    assert found.one
    assert why in found.tried[0].why


def test_a_role_that_may_not_see_the_system_identifier_is_compared_by_the_rest():
    half = Identity("shop", 16384, HERE.started, False, None)
    net = Net(db6432=POOLER, db5432=answer(identity=half))
    assert not net.find(Target(url="postgresql://me@pg.example:6432/shop")).one


def test_a_pooled_route_that_does_not_answer_lets_nobody_believe_a_guess():
    net = Net(db5432=answer())
    with pytest.raises(NotUsable):
        net.find(Target(url="postgresql://me@pg.example:6432/shop"))


def test_a_direct_url_that_was_set_is_used_while_the_pooled_route_is_too_busy_to_be_compared():
    """And compared later: the finding is not settled."""
    net = Net(db5433=answer())
    target = Target(url="postgresql://me@pg.example:6432/shop", direct_url="postgresql://me@pg.example:5433/shop")
    found = net.find(target)
    assert found.direct.origin == "database.direct_url"
    assert not found.settled
    assert "not compared" in found.direct.why


def test_no_route_prints_its_password(caplog: pytest.LogCaptureFixture):
    net = Net(pooler6543=POOLER)
    target = Target(url=SUPABASE, direct_url=SUPABASE.replace("6543", "5432"))
    found = net.find(target)
    shown = [repr(target), repr(found), str(found.direct.as_dict()), target.described()]
    assert not [text for text in shown if "secret" in text]


def test_an_address_that_cannot_be_understood_is_not_quoted():
    """libpq quotes what it stumbles over, which may be the password."""
    for url in ("postgresql://me:pa#s:s/w@h/db", "psql://me:secret@h/db", "secret words", "host=h port='secret"):
        with pytest.raises(UsageError) as refused:
            routes.parts(url)
        assert "secret" not in str(refused.value)
        assert "pa#" not in str(refused.value)


# -- the door ---------------------------------------------------------------------------------------------------------


def test_who_comes_to_a_closed_door_shares_the_attempt_that_is_under_way():
    """Method: the door is closed by a failure. One knock is held up; twenty more come, and meet its outcome."""
    door, release, met = routes.Door(), threading.Event(), []

    def knock() -> None:
        assert release.wait(20)
        raise psycopg.OperationalError("nobody is there")

    def come() -> None:
        try:
            door.through(knock)
        except psycopg.OperationalError as error:
            met.append(str(error))

    release.set()
    come()
    release.clear()
    threads = [threading.Thread(target=come) for _ in range(21)]
    for thread in threads:
        thread.start()
    release.set()
    for thread in threads:
        thread.join(20)
    assert met == ["nobody is there"] * 22
    assert door.knocks == 2


def test_an_open_door_lets_everybody_in_at_once_and_a_success_opens_a_closed_one():
    door = routes.Door()
    barrier = threading.Barrier(3, timeout=20)
    threads = [threading.Thread(target=door.through, args=(barrier.wait,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert door.knocks == 3
    with pytest.raises(psycopg.OperationalError):
        door.through(fail)
    door.ANSWER_LASTS_S = 0.0  # type: ignore[misc]
    assert door.through(lambda: "in") == "in"
    assert door.through(lambda: "in") == "in"


def fail() -> None:
    raise psycopg.OperationalError("nobody is there")
