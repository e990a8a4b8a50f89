"""Adding runs: pages are unbroken, and those who add to different groups do not wait for each other."""

from __future__ import annotations

import tempfile

from leasehold.kernel import groups
from leasehold.testing.races import Race, together

RUN_IDS = "hashtextextended('leasehold.run_seq', 0)"


def test_adding_to_one_group_does_not_wait_for_a_transaction_that_adds_to_another(database, kernel):
    """Method: the first transaction stays open; what it drew and took back is given to nobody else."""
    one, two = kernel.group("work"), kernel.group("work")
    kernel.add(one)  # the first of a range of runs makes its partitions, which others do wait for
    with Race(database) as race:
        race.begin("first")
        first = race.do("first", lambda c: groups.add(c, one, [0] * 5))
        second = race.start("second", lambda c: groups.add(c, two, [0] * 3))
        assert second.settles()._future.done(), "it waits"
        assert second.result() == first + 5
        race.rollback("first")
    assert kernel.add(one) == [first + 8]
    assert kernel.group_state(two).added == 3


def test_the_ids_of_a_page_follow_without_a_gap_whoever_draws_meanwhile(database, kernel):
    """Method: somebody holds the lock under which ids are drawn, draws one, and lets go; the page waited for that."""
    group = kernel.group("work")
    (before,) = kernel.add(group)
    with Race(database) as race:
        race.begin("other")
        race.do("other", lambda c: c.execute(f"select pg_advisory_xact_lock({RUN_IDS})"))
        adding = race.start("adder", lambda c: groups.add(c, group, [1, 2, 3])).waits()
        race.do("other", lambda c: c.execute("select nextval('leasehold.run_seq')"))
        race.commit("other")
        assert adding.result() == before + 2
    assert kernel.add(group) == [before + 5]


def test_an_adder_that_is_cancelled_while_it_waits_to_draw_leaves_nothing_locked(database, kernel):
    group, other = kernel.group("work"), kernel.group("work")
    with Race(database) as race:
        race.begin("blocker")
        race.do("blocker", lambda c: c.execute(f"select pg_advisory_xact_lock({RUN_IDS})"))
        adding = race.start("adder", lambda c: groups.add(c, group, [1, 2])).waits()
        kernel.session.fetch("select pg_cancel_backend(%s)", (race.connection("adder").info.backend_pid,))
        assert "canceling" in str(adding._future.exception(20))
        race.commit("blocker")
        assert race.do("third", lambda c: groups.add(c, other, [1])) is not None
        assert race.do("adder", lambda c: groups.add(c, group, [1])) is not None


def test_eight_sessions_that_add_pages_at_once_get_unbroken_pages_that_do_not_overlap(database, kernel):
    mine = [kernel.group("work") for _ in range(8)]

    def adder(group):
        return lambda session: [(groups.add_all(session, group, [0] * n), n) for n in range(1, 12)]

    pages = [page for part in together(database, [adder(group) for group in mine]) for page in part]
    drawn = sorted(first + i for first, n in pages for i in range(n))
    assert drawn == list(range(drawn[0], drawn[0] + len(drawn)))
    stored = kernel.session.fetch("select run_id from leasehold.run order by run_id")
    assert drawn == [run for (run,) in stored]


def test_a_run_added_with_its_wake_is_two_round_trips(kernel):
    """One that adds, a transaction by itself, and one that tells: no BEGIN, no COMMIT. Method: libpq's own trace."""
    group = kernel.group("work")
    pgconn = kernel.session.connection.pgconn
    with tempfile.TemporaryFile() as trace:
        pgconn.trace(trace.fileno())
        try:
            kernel.add(group)
        finally:
            pgconn.untrace()
        trace.seek(0)
        sent = [line.split("\t") for line in trace.read().decode().splitlines()]
    asked = [entry for entry in sent if entry[1:2] == ["F"] and entry[3].startswith(("Sync", "Query"))]
    assert len(asked) == 2, sent
