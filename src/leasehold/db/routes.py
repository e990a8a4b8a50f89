"""Routes: the two ways to the database, which one is in use for what, and why.

*pooled* is the address that was given: short transactions, no session state. *direct* leads to the server itself, or to
a pooler that gives each client a server session of its own: claims, heartbeats, LISTEN, migrations, index builds, and
transactions that stand open for long. Without a pooler both are one server, and nothing differs.

The direct route is `database.direct_url`, else what can be derived from a known pooler's address (`deriving`), else the
pooler's session mode, else the pooled address itself, with polling instead of LISTEN. An address is believed only after
it was probed (`probing`): it answers in time, it is the same database of the same running server, sessions keep their
state, and a notification comes back. The answer is a value, `Route`, which doctor, status and logs show.

Invariants: a process that has once found a direct route never leaves it for the pooled one: claims that cannot reach it
fail aloud and try again. A statement inside a transaction never changes route. One look for all sessions of a process;
a child is told its keeper's finding and does not look again.

Failure: a derived address that fails a probe is left out, with the reason. A direct_url that leads to another database
is refused: two halves of the work would go to two places. One that does not answer while the pooled address does is
replaced for the time being, aloud, and looked for again every half minute.

Not here: sessions (`session`), what goes which way (their callers).
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from leasehold.db import probing
from leasehold.db.deriving import Candidate, candidates
from leasehold.db.probing import Identity, Mode, NotUsable, Probed
from leasehold.db.target import DISABLE_DIRECT, Target
from leasehold.errors import RouteMismatch, UsageError

log = logging.getLogger("leasehold.db")

T = TypeVar("T")
Name = Literal["pooled", "direct"]
LOOK_AGAIN_S = 30.0
QUOTED = re.compile(r'"[^"]*"')
SET_DIRECT = (
    "Give the server's own address as database.direct_url (LEASEHOLD_DATABASE_DIRECT_URL), or a pooler in session mode."
)


@dataclass(frozen=True, slots=True)
class Route:
    """One way to the database.

    `shared`: whether its server sessions are given to others between two transactions; None: each connection finds out
    for itself, by its process number. `degraded`: what does not work on it, "" when everything does.
    """

    name: Name
    conninfo: str | None = field(repr=False)
    """None: the target's own, asked anew for each connection."""
    shared: bool | None
    mode: str
    origin: str
    why: str
    degraded: str = ""

    @property
    def listens(self) -> bool:
        """Whether LISTEN can be expected to work."""
        return self.shared is not True

    def as_dict(self) -> dict[str, Any]:
        """For people and machines: without the address."""
        return {
            "route": self.name,
            "mode": self.mode,
            "origin": self.origin,
            "why": self.why,
            "degraded": self.degraded,
        }


@dataclass(frozen=True, slots=True)
class Tried:
    """An address that is not the direct route, and why not."""

    origin: str
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to one look. `settled`: looking again would not change it."""

    pooled: Route
    direct: Route
    tried: tuple[Tried, ...] = ()
    settled: bool = True

    @property
    def one(self) -> bool:
        """Whether both routes lead through one address."""
        return self.pooled.conninfo == self.direct.conninfo


def parts(conninfo: str) -> dict[str, str]:
    """An address by its parts.

    Raises:
        UsageError: it cannot be understood. What libpq quotes of it is left out: it may be the password.
    """
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value is not None}
    except psycopg.ProgrammingError as error:
        raise _not_understood(QUOTED.sub("...", probing.first_line(error))) from None
    if not all(one.isdigit() or not one for one in found.get("port", "").split(",")):
        raise _not_understood("its port is not a number; a password with : / @ # in it is written %3A %2F %40 %23")
    return found


def _not_understood(why: str) -> UsageError:
    remedy = "Write it as postgresql://USER@HOST:PORT/DATABASE."
    return UsageError(f"The database address cannot be understood: {why}", remedy=remedy)


def without_password(conninfo: str) -> tuple[str, str]:
    """(the address without its password, the password): for a program whose command line others can read."""
    given = parts(conninfo)
    password = given.pop("password", "")
    return make_conninfo("", **given), password


# -- the look ---------------------------------------------------------------------------------------------------------

Probe = Callable[[str], Probed]
Look = Callable[[str], tuple[Mode, str]]


def presumed(target: Target) -> Route:
    """The pooled route before anybody has looked: as careful as its address suggests."""
    if target.embedded:
        return Route("pooled", None, None, Mode.SERVER, "home", "Leasehold's own server; there is no pooler")
    hinted = target.direct_url is not None or bool(candidates(target.url or ""))
    return Route("pooled", target.url, True if hinted else None, "not looked at", "database.url", "it was given")


def find(
    target: Target,
    *,
    probe: Probe = probing.probe,
    identify: Callable[[str], Identity] = probing.identity_of,
    look: Look = probing.mode_at,
) -> Found:
    """Look which address is the direct route.

    Raises:
        NotUsable: the database cannot be reached now.
        RouteMismatch: database.direct_url leads to another database.
    """
    pooled = presumed(target)
    if target.embedded:
        return Found(pooled, replace(pooled, name="direct"))
    assert target.url is not None
    for address in (target.url, target.direct_url):
        parts(address or "")
    if target.one_route:
        off = f"the direct route is switched off ({DISABLE_DIRECT} or database.disable_direct)"
        return _one_address(target, (), off, probe, look)
    wanted = _wanted(target)
    if not wanted:
        return _one_address(target, (), "no direct_url is given and none can be derived", probe, look)
    mine, silent = None, ""
    try:
        mine = identify(target.url)
    except NotUsable as error:
        silent = str(error)
    tried: list[Tried] = []
    for candidate in wanted:
        explicit = candidate.conninfo == target.direct_url
        try:
            probed = probe(candidate.conninfo)
            why_not = _objection(probed, mine, explicit=explicit, silent=silent)
        except NotUsable as error:
            why_not = str(error)
        if not why_not:
            return _two_addresses(pooled, candidate, probed, tried, compared=mine is not None)
        tried.append(Tried(candidate.origin, why_not))
    if mine is None:
        raise NotUsable(silent)
    left_out = "; ".join(f"{one.origin}: {one.why}" for one in tried)
    return _one_address(target, tuple(tried), left_out, probe, look)


def _wanted(target: Target) -> list[Candidate]:
    given = [Candidate(target.direct_url, "server", "database.direct_url")] if target.direct_url else []
    return given + candidates(target.url or "")


def _objection(probed: Probed, mine: Identity | None, *, explicit: bool, silent: str) -> str:
    """Why this address is not the direct route; "" when it is. Raises RouteMismatch for one that was set by hand."""
    if mine is None:
        if not explicit:
            return f"it cannot be compared, the pooled route does not answer: {silent}"
    elif not probed.identity.same_as(mine) and not probed.identity.standby:
        difference = _told_apart(probed.identity, mine)
        if explicit:
            raise RouteMismatch(f"database.direct_url leads to another database than database.url: {difference}.")
        return f"it is another database: {difference}"
    if probed.identity.standby:
        return "it is a standby, which takes no writes"
    if probed.mode is Mode.TRANSACTION_POOLER:
        return f"it is a pooler in transaction mode itself: {probed.how}"
    if probed.state_survives is False:
        return "session state does not survive between two statements"
    return "" if probed.listen_ms is not None else "a notification did not come back"


def _told_apart(one: Identity, other: Identity) -> str:
    if one.database != other.database:
        return f"it is called {one.database}, not {other.database}"
    if one.oid != other.oid:
        return "its oid is another"
    return "it is a server that was started at another time"


def _two_addresses(pooled: Route, candidate: Candidate, probed: Probed, tried: list[Tried], *, compared: bool) -> Found:
    shown = "it is the same database" if compared else "not compared yet, the pooled route did not answer in time"
    why = f"{probed.how}; {shown}; session state survives; LISTEN answers"
    direct = Route(
        "direct", candidate.conninfo, None if probed.mode is Mode.SERVER else False, probed.mode, candidate.origin, why
    )
    return Found(replace(pooled, shared=True, mode="pooler"), direct, tuple(tried), settled=compared)


def _one_address(target: Target, tried: tuple[Tried, ...], reason: str, probe: Probe, look: Look) -> Found:
    """Everything goes through the pooled address; what that means depends on what stands there."""
    assert target.url is not None
    mode, how = look(target.url)
    shared = {Mode.SERVER: None, Mode.SESSION_POOLER: False, Mode.TRANSACTION_POOLER: True}[mode]
    deaf = mode is Mode.SESSION_POOLER and probe(target.url).listen_ms is None
    degraded = ""
    if shared or deaf:
        degraded = (
            f"no direct route: {reason}. Work is found by polling instead of LISTEN, nothing is prepared, and claims "
            "and heartbeats wait in the pooler's queue beside all other work"
        )
    why = f"{how}; {reason}" if degraded else how
    pooled = Route("pooled", target.url, True if deaf else shared, mode, "database.url", why, degraded)
    unreachable = bool(tried) and not target.one_route
    return Found(pooled, replace(pooled, name="direct"), tried, settled=not (degraded and unreachable))


# -- the routes of a process ------------------------------------------------------------------------------------------


class Routes:
    """A target's routes in this process. Looking is done once, by whoever needs it first; the others wait for that."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.generation = 0
        """Rises when sessions had better connect anew: a better route was found, or the server has become read-only."""
        self._presumed = presumed(target)
        self._found: Found | None = None
        self._refused: RouteMismatch | None = None
        self._looking = threading.Lock()
        self._watched = False
        self._doors: dict[Name, Door] = {"pooled": Door(), "direct": Door()}

    def route(self, name: Name) -> Route:
        """The route of that name. The direct one is looked for first, which takes some round trips, once."""
        if name == "pooled":
            return self._found.pooled if self._found else self._presumed
        return self.found().direct

    def door(self, name: Name) -> Door:
        return self._doors["pooled" if self._found and self._found.one else name]

    @property
    def known(self) -> Found | None:
        """What was found, if anybody has looked."""
        return self._found

    def found(self) -> Found:
        if self._refused is not None:
            raise self._refused
        if self._found is None:
            with self._looking:
                if self._found is None:
                    found = find(self.target)
                    self._announce(found)
                    self._adopt(found)
        assert self._found is not None
        return self._found

    def adopt(self, given: Mapping[str, Any]) -> None:
        """Take over what another process of ours has found (`handed_down`); it has said what there was to say."""
        with self._looking:
            if self._found is None:
                self._adopt(
                    Found(
                        Route(**given["pooled"]),
                        Route(**given["direct"]),
                        tuple(Tried(**one) for one in given["tried"]),
                        given["settled"],
                    )
                )

    def handed_down(self) -> dict[str, Any]:
        """What was found, for a child process, through a pipe. It has the passwords."""
        return asdict(self.found())

    def left(self) -> None:
        """The server at the other end is no longer the right one: every session is to connect anew."""
        self.generation += 1

    def _adopt(self, found: Found) -> None:
        self._found = found
        if not found.settled and not self._watched:
            self._watched = True
            threading.Thread(target=self._look_again, name="leasehold-routes", daemon=True).start()

    def _announce(self, found: Found) -> None:
        if found.direct.degraded:
            log.warning("degraded: %s. %s", found.direct.degraded, SET_DIRECT)
        elif found.tried:
            log.info("direct route: %s; left out: %s", found.direct.origin,
                     "; ".join(f"{one.origin}: {one.why}" for one in found.tried))  # fmt: skip

    def _look_again(self) -> None:
        """Until the answer is settled; a worse answer than the one in use changes nothing."""
        idle = threading.Event()
        while self._found is not None and not self._found.settled:
            idle.wait(LOOK_AGAIN_S * random.uniform(0.8, 1.2))
            try:
                found = find(self.target)
            except RouteMismatch as error:
                log.error("%s", error)  # noqa: TRY400 - a sentence, not a trace
                self._refused = error
                self.left()
                return
            except (psycopg.Error, OSError):
                continue
            better = bool(self._found.direct.degraded) and not found.direct.degraded
            if better or found.direct.conninfo == self._found.direct.conninfo:
                self._found = found
            if better:
                log.warning("the direct route works now: %s", found.direct.origin)
                self.left()


class Door:
    """Where connections of one route are made. While nobody answers, one knocks at a time and the others share its
    outcome, so that a server that comes back is not met by everybody at once."""

    ANSWER_LASTS_S = 0.25

    def __init__(self) -> None:
        self.knocks = 0
        self._lock = threading.Lock()
        self._attempt: Future[None] | None = None
        self._lasts_until_s = float("inf")
        self._closed = False

    def through(self, knock: Callable[[], T]) -> T:
        """What *knock* answers. While the door is closed: what another's attempt has just met, if that failed."""
        mine, other = self._queue()
        if other is not None and (error := other.exception()) is not None:
            raise psycopg.OperationalError(str(error)) from error
        met: Exception | None = None
        try:
            self.knocks += 1
            made = knock()
        except (psycopg.Error, OSError) as error:
            met = error
            raise
        else:
            return made
        finally:
            self._over(mine, met)

    def _queue(self) -> tuple[Future[None] | None, Future[None] | None]:
        """(the attempt that this caller makes for all, the one that it waits for); both None: the door is open."""
        with self._lock:
            if not self._closed:
                return None, None
            if self._attempt is not None and time.monotonic() < self._lasts_until_s:
                return None, self._attempt
            self._attempt, self._lasts_until_s = Future(), float("inf")
            return self._attempt, None

    def _over(self, mine: Future[None] | None, met: Exception | None) -> None:
        with self._lock:
            self._closed = met is not None
            if mine is not None and met is not None:
                self._lasts_until_s = time.monotonic() + self.ANSWER_LASTS_S * random.uniform(0.5, 1.0)
            elif self._attempt is mine:
                self._attempt = None
        if mine is not None:
            mine.set_exception(met) if met is not None else mine.set_result(None)


_known: dict[tuple[Target, bool], Routes] = {}
_turn = threading.Lock()


def of(target: Target) -> Routes:
    """The routes of *target* in this process; the same ones whenever it is asked."""
    key = (target, target.one_route)
    with _turn:
        if key not in _known:
            _known[key] = Routes(target)
        return _known[key]


def forget(target: Target) -> None:
    """Look anew the next time: for tests, and for a doctor that must not trust what was found earlier."""
    with _turn:
        _known.pop((target, target.one_route), None)
