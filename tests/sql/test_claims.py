"""Item claims: one living lease at a time holds a key."""

from __future__ import annotations

from leasehold.kernel import claims
from leasehold.testing.races import Race, together


def take(kernel, *wanted):
    return kernel.session.run(lambda connection: claims.take(connection, "parse", wanted))


def test_a_key_is_held_by_one_token_until_its_lease_ends(kernel):
    kernel.add_runs(2)
    a, b = kernel.claim(by="A"), kernel.claim(by="B")
    assert take(kernel, (b"k", a.token)) == [True]
    assert take(kernel, (b"k", a.token)) == [True]  # sent again
    assert take(kernel, (b"k", b.token)) == [False]
    kernel.succeed(a)
    assert take(kernel, (b"k", b.token)) == [True]


def test_the_steps_of_one_page_hold_a_key_together_and_no_step_of_another_page_does(kernel):
    """The lease is the holder: which of its steps makes the result is the page function's to say."""
    kernel.add_runs(3)
    page, other = kernel.claim(by="A", n=2), kernel.claim(by="B")
    first, second = (step for step, _ in page.steps)
    assert take(kernel, (b"k", page.token), (b"k", page.token), (b"k", other.token)) == [True, True, False]
    kernel.succeed(page, only=[first])
    assert take(kernel, (b"k", page.token), (b"k", other.token)) == [True, False]
    kernel.succeed(page, only=[second])
    assert take(kernel, (b"k", other.token)) == [True]


def test_a_key_is_taken_over_from_a_holder_that_died(kernel, clock):
    kernel.add_runs(2)
    a = kernel.claim(by="A")
    take(kernel, (b"k", a.token))
    clock.advance(31)
    b = kernel.claim(by="B")
    assert take(kernel, (b"k", b.token)) == [False]
    kernel.reap("B")
    assert take(kernel, (b"k", b.token)) == [True]


def test_a_worker_that_outlived_its_lease_gets_no_claim(kernel):
    kernel.add_step()
    late = kernel.claim()
    kernel.release(late)
    assert take(kernel, (b"k", late.token)) == [False]
    assert kernel.counted("claim") == 0


def test_answers_come_in_the_order_of_the_question(kernel):
    kernel.add_runs(2)
    a, b = kernel.claim(by="A"), kernel.claim(by="B")
    take(kernel, (b"2", a.token))
    assert take(kernel, (b"3", b.token), (b"2", b.token), (b"1", b.token)) == [True, False, True]


def test_kinds_of_work_do_not_share_keys(kernel):
    kernel.add_runs(2)
    a, b = kernel.claim(by="A"), kernel.claim(by="B")
    take(kernel, (b"k", a.token))
    assert kernel.session.run(lambda c: claims.take(c, "chunk", [(b"k", b.token)])) == [True]


def test_giving_back_leaves_what_another_token_has_taken_over(kernel):
    kernel.add_runs(2)
    a, b = kernel.claim(by="A"), kernel.claim(by="B")
    take(kernel, (b"k", a.token))
    kernel.succeed(a)
    take(kernel, (b"k", b.token))
    kernel.session.run(lambda c: claims.give_back(c, "parse", [(b"k", a.token)]))
    assert kernel.counted("claim") == 1


def test_a_claim_that_waited_does_not_steal_from_a_lease_that_came_in_between(database, kernel):
    """The judgement must see the leases of now, not those of when it began to wait.

    Method: A waits for key 1, which X is taking; meanwhile B gets a lease and claims key 2. A goes on and must see that
    the lease behind key 2 lives, though it was born after A had begun.
    """
    kernel.add_runs(4)
    x, a, old = kernel.claim(by="X"), kernel.claim(by="A"), kernel.claim(by="old")
    take(kernel, (b"2", old.token))
    kernel.succeed(old)
    with Race(database) as race:
        race.begin("X")
        race.do("X", lambda c: claims.take(c, "parse", [(b"1", x.token)]))
        race.start("A", lambda c: claims.take(c, "parse", [(b"1", a.token), (b"2", a.token)])).waits()
        b = kernel.claim(by="B")
        assert take(kernel, (b"2", b.token)) == [True]
        race.commit("X")
        assert race.result("A") == [False, False]
    assert take(kernel, (b"2", b.token)) == [True]


def test_eight_holders_that_want_the_same_keys_share_them_without_deadlock(database, kernel):
    kernel.add_runs(8)
    leases = [kernel.claim(by=f"H{i}") for i in range(8)]
    keys = [bytes([i]) for i in range(50)]

    def want(i):
        wanted = [(key, leases[i].token) for key in (keys if i % 2 else keys[::-1])]
        return lambda session: session.run(lambda c: claims.take(c, "parse", wanted))

    answers = together(database, [want(i) for i in range(8)])
    for index in range(50):
        winners = [i for i in range(8) if answers[i][index if i % 2 else 49 - index]]
        assert len(winners) == 1
