"""Plans: claim and finish read what they need and no more, on tables that were never analysed.

Not timed: what is counted are the buffers that a call touched, which grow with the work and with nothing else. The
tables are filled and autovacuum is kept off them, as on a fresh system in its busiest minute.
"""

from __future__ import annotations

import json

import pytest

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.kernel import groups, pauses, seats
from leasehold.testing.stories import Kernel

READY = 200_000
PAGE = 500


@pytest.fixture(scope="module")
def crowded(databases):
    """200,000 ready steps in one lane, 200,000 delayed ones in another, no statistics."""
    with databases.clone() as url, Session(Target(url=url)) as session:
        kernel = Kernel(session)
        for table in ("ready", "delayed", "blocked", "lease"):
            session.fetch(f"alter table leasehold.{table} set (autovacuum_enabled = off)")
        session.fetch("select leasehold.ensure_partitions(1)")
        for table in ("outcome_p0", "step_p0", "run_p0"):
            session.fetch(f"alter table leasehold.{table} set (autovacuum_enabled = off)")
        group = kernel.group("work", "more")
        for _ in range(READY // 20_000):
            session.run(lambda connection: groups.add(connection, group, [0] * 20_000))
        behind = kernel.group("behind")
        lane = session.fetch("select lane_id from leasehold.lane where group_id = %s", (behind,))[0][0]
        session.fetch(
            "insert into leasehold.delayed (step_id, lane_id, ready_at, attempt, alone, why) "
            "select -i, %s, leasehold.now() + interval '1 day', 1, false, 'backoff' from generate_series(1, 200000) i",
            (lane,),
        )
        yield kernel


def explained(session, statement, *params):
    """(buffers touched, the nodes of the plan of the call itself)."""
    rows = session.fetch(f"explain (analyze, buffers, format json) {statement}", params)
    plan = rows[0][0] if isinstance(rows[0][0], list) else json.loads(rows[0][0])
    root = plan[0]["Plan"]
    return root["Shared Hit Blocks"] + root["Shared Read Blocks"] + root.get("Shared Dirtied Blocks", 0), plan


def work_lane(kernel):
    return next(lane.lane_id for lane in kernel.lanes("work"))


def claim_buffers(kernel, lane, n, hint=0):
    kernel.claim_nos.setdefault(kernel.holder("A"), 0)
    kernel.claim_nos[kernel.holder("A")] += 1
    return explained(
        kernel.session,
        "select * from leasehold.claim(%s, %s, %s::bigint[], %s::integer[], %s::bigint[], %s::double precision[])",
        kernel.holder("A"), kernel.claim_nos[kernel.holder("A")], [lane], [n], [hint], [60.0],
    )[0]  # fmt: skip


def test_a_claim_of_a_page_touches_a_bounded_number_of_buffers_among_200_000_ready_steps(crowded):
    lane = work_lane(crowded)
    one, page = least(lambda: (claim_buffers(crowded, lane, 1), claim_buffers(crowded, lane, PAGE)))
    # A sequential scan of ready alone is about 1,700 buffers; the events of 500 first steps are most of this.
    assert one < 60, one
    assert page < 12 * PAGE, page


def test_the_cost_of_a_claim_does_not_grow_with_what_is_waiting(crowded):
    """The same page in a lane of 200,000 and in a lane of 500."""
    lane = work_lane(crowded)
    small = crowded.group("small")
    crowded.add(small, 3 * PAGE)
    small_lane = next(found.lane_id for found in crowded.lanes("small"))
    many, few = least(lambda: (claim_buffers(crowded, lane, PAGE), claim_buffers(crowded, small_lane, PAGE)))
    assert many < 1.5 * few + 100, (many, few)


def test_a_look_does_not_walk_over_what_was_claimed_and_an_old_snapshot_keeps(crowded):
    """Method: another session's snapshot is older than 40 pages of claims; the look goes behind the last of them."""
    lane = work_lane(crowded)
    with Session(crowded.session.target) as other:
        other.connection.execute("begin isolation level repeatable read")
        other.connection.execute("select count(*) from leasehold.lane")
        for _ in range(40):
            lease = crowded.claim("work", n=PAGE)
            crowded.succeed(lease)
        look = load("leasehold.kernel", "lanes_with_work")
        positions = {"from the start": 0, "behind": lease.last_position}
        touched = {}
        for name, at in positions.items():
            for _ in range(6):  # five plans for the values at hand, then perhaps one for all
                _, plan = explained(crowded.session, look, [lane], [at], ["work"])
            (touched[name],) = least(lambda at=at: (explained(crowded.session, look, [lane], [at], ["work"])[0],))
            read = [node for node in walk(plan[0]["Plan"]) if node.get("Relation Name") == "ready"]
            assert {node["Node Type"] for node in read} <= {"Index Scan", "Index Only Scan"}, read
        other.connection.execute("rollback")
    assert touched["behind"] < 60, touched
    assert touched["from the start"] > touched["behind"] + 80, touched


def test_a_finish_of_a_page_touches_buffers_in_proportion_to_the_page(crowded):
    finish = "select * from leasehold.finish(%s::bigint[], %s::bigint[], '{}', '{}', '{}', '{}', '{}')"
    crowded.finish(crowded.claim("work", n=PAGE))

    def costs(n):
        lease = crowded.claim("work", n=n)
        return explained(crowded.session, finish, [lease.token] * n, [step for step, _ in lease.steps])[0]

    touched = dict(zip((50, PAGE), least(lambda: (costs(50), costs(PAGE))), strict=True))
    assert touched[PAGE] < 12 * touched[50] + 500, touched
    assert touched[PAGE] < 40 * PAGE, touched


@pytest.mark.parametrize("mixed", [False, True])
def test_a_page_of_500_compares_no_pairs_of_its_members(crowded, mixed):
    """Nothing quadratic: half of a page was finished before, so verdicts are looked up; rows removed stay few."""
    lease = crowded.claim("work", n=PAGE)
    ids = [step for step, _ in lease.steps]
    if mixed:
        crowded.succeed(lease, only=ids[::2])
    crowded.session.fetch("load 'auto_explain'")
    crowded.session.fetch("set auto_explain.log_min_duration = 0")
    crowded.session.fetch("set auto_explain.log_nested_statements = on")
    crowded.session.fetch("set auto_explain.log_analyze = on")
    crowded.session.fetch("set auto_explain.log_format = json")
    crowded.session.fetch("set auto_explain.log_level = notice")
    notices: list[str] = []
    handler = lambda notice: notices.append(notice.message_primary)  # noqa: E731
    crowded.session.connection.add_notice_handler(handler)
    try:
        crowded.succeed(lease)
    finally:
        crowded.session.connection.remove_notice_handler(handler)
        crowded.session.fetch("set auto_explain.log_min_duration = -1")
    plans = [json.loads(text[text.index("{") :]) for text in notices if "{" in text]
    assert plans, "auto_explain said nothing"
    nodes = [node for plan in plans for node in walk(plan["Plan"])]
    worst = max(nodes, key=compared)
    assert compared(worst) <= 4 * PAGE, worst
    scans = [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] in BIG]
    assert scans == []


BIG = {"ready", "delayed", "blocked", "step", "step_p0", "outcome", "outcome_p0", "run", "run_p0", "run_outcome_p0"}


def least(measure, times=3):
    """The least of some measurements, number by number: when another session makes a table or an autovacuum ends,
    this session reads some of the catalogue again, and those buffers count as well."""
    return [min(numbers) for numbers in zip(*(measure() for _ in range(times)), strict=True)]


def walk(node):
    yield node
    for child in node.get("Plans", []):
        yield from walk(child)


def compared(node):
    removed = sum(node.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Join Filter", "Index Recheck"))
    return removed * node.get("Actual Loops", 1)


def test_steps_delayed_by_the_hundred_thousand_cost_a_promotion_nothing(crowded):
    promote = "select * from leasehold.promote(5000)"
    (touched,) = least(lambda: (explained(crowded.session, promote)[0],))
    assert touched < 50


@pytest.mark.parametrize("how", ["its group is paused", "its kind is paused", "its breaker is open"])
def test_steps_that_are_held_back_cost_the_others_nothing(crowded, how):
    """Method: a small lane beside 200,000 ready steps; looking and claiming a step, before and after those are held."""
    session = crowded.session
    crowded.add(crowded.group("free"), 20)
    look = load("leasehold.kernel", "lanes_with_work"), [], [], ["work", "free"]

    def costs():
        lane = next(lane.lane_id for lane in crowded.lanes("free"))
        return least(lambda: (explained(session, *look)[0], claim_buffers(crowded, lane, 1)))

    free = costs()
    group = str(session.fetch("select group_id from leasehold.lane where kind = 'work'")[0][0])
    if "breaker" in how:
        session.fetch(
            "insert into leasehold.breaker (kind, key, fingerprint, streak, reason, detail, strikes, opened_at, "
            "open_until) values ('work', '', 'x', 3, 'down', '', 1, leasehold.now(), leasehold.now() + interval '1 h')"
        )
    else:
        pauses.pause(session, "group" if "group" in how else "kind", group if "group" in how else "work")
    assert {lane.kind for lane in crowded.lanes("work", "free")} == {"free"}
    held = costs()
    for what, name in (("group", group), ("kind", "work")):
        pauses.resume(session, what, name)
    assert {lane.kind for lane in crowded.lanes("work", "free")} == {"work", "free"}
    assert held[0] < free[0] + 20, (free, held)
    assert held[1] < free[1] + 10, (free, held)


def test_steps_behind_a_taken_lock_and_a_full_share_cost_the_others_nothing(crowded):
    """Method: a small lane beside 200,000 ready steps; looking, and claiming a step, before and after they have
    come to stand behind a lock that somebody has and behind a share that is used up."""
    session = crowded.session
    small = crowded.group("beside")
    crowded.add(small, 20)
    look = load("leasehold.kernel", "lanes_with_work"), [], [], ["work", "beside"]

    def costs():
        lane = next(lane.lane_id for lane in crowded.lanes("beside"))
        return least(lambda: (explained(session, *look)[0], claim_buffers(crowded, lane, 1)))

    free = costs()
    session.fetch("select leasehold.lane_key(group_id, 'work', 'model:x') from leasehold.lane where kind = 'work'")
    seats.take(session, crowded.holder("blocker", ttl_s=3600), "model:x")
    seats.set_limit(session, "kind:work", 0)
    assert [lane.full for lane in crowded.lanes("work", "beside")] == [True, False]
    full = costs()
    # What is more are the two resources and their seats, looked up by key.
    assert full[0] < free[0] + 100, (free, full)
    assert full[1] < free[1] + 30, (free, full)
    both = [work_lane(crowded), next(lane.lane_id for lane in crowded.lanes("beside"))]
    (lease,) = crowded.claim_lanes(both)
    assert lease.lane_id == both[1]
