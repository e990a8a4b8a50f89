"""Consumer pools: what can be written, what is refused and how, and counts that cannot drift unnoticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.errors import UsageError
from leasehold.worker.pools import CONSUMERS_MAX, Pools, check_kinds, parse_consumers, pool_of


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("parse=4,store=1,*=2", {"parse": 4, "store": 1, "*": 2}),
        (" parse = 4 , *=2 ", {"parse": 4, "*": 2}),
        ("*=1", {"*": 1}),
        ("store=0,*=4", {"store": 0, "*": 4}),
        (f"parse={CONSUMERS_MAX}", {"parse": CONSUMERS_MAX}),
    ],
)
def test_consumers_are_read_in_the_order_they_were_written(text, sizes):
    assert list(parse_consumers(text).items()) == list(sizes.items())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "''"),
        ("parse=4,", "''"),
        ("parse", "'parse'"),
        ("=4", "'=4'"),
        ("parse=", "''"),
        ("parse=-1", "'-1'"),
        ("parse=1.5", "'1.5'"),
        ("parse=four", "'four'"),
        ("parse=+4", "'+4'"),
        ("parse=1_0", "'1_0'"),
        ("parse=²", "'²'"),
        ("parse=2=3", "'2=3'"),
        (f"parse={CONSUMERS_MAX + 1}", f"'{CONSUMERS_MAX + 1}'"),
        ("parse=" + "9" * 5000, "'999"),
        ("parse=1,*=2,parse=1", "'parse' is named twice"),
        ("parse=0,*=0", "no consumer"),
    ],
)
def test_consumers_that_cannot_be_meant_are_refused_with_what_came_and_what_to_write(text, named):
    with pytest.raises(UsageError) as refused:
        parse_consumers(text)

    assert named in refused.value.message
    assert "=" in refused.value.remedy or "once" in refused.value.remedy


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,12}|\*", fullmatch=True), st.integers(0, 99), min_size=1))
def test_whatever_is_written_out_reads_back_the_same(sizes):
    if not any(sizes.values()):
        return
    assert parse_consumers(",".join(f"{kind}={n}" for kind, n in sizes.items())) == sizes


@given(st.text(alphabet="pars=*,0123 -.", max_size=20))
def test_any_text_is_either_read_or_refused_as_usage(text):
    try:
        sizes = parse_consumers(text)
    except UsageError:
        return
    assert any(sizes.values())
    assert all(0 <= n <= CONSUMERS_MAX for n in sizes.values())


def test_an_unknown_kind_names_the_near_one():
    with pytest.raises(UsageError, match="prase") as refused:
        check_kinds({"prase": 4, "*": 2}, {"parse", "store"})

    assert "'parse'" in refused.value.remedy


def test_an_unknown_kind_with_none_near_is_told_all_known_ones():
    with pytest.raises(UsageError) as refused:
        check_kinds(["zzz"], ["store", "parse"])

    assert "parse, store" in refused.value.remedy


def test_known_kinds_and_the_star_pass():
    check_kinds({"parse": 4, "*": 2}, {"parse", "store"})


def test_the_star_pool_never_takes_a_kind_a_named_pool_has():
    """Not even when the named pool is full, or has no consumer at all."""
    sizes = {"parse": 1, "store": 0, "*": 2}
    pools = Pools(sizes)
    pools.take("parse", 1)

    assert pools.free("parse") == 0
    assert pools.free("store") == 0
    assert pools.free("embed") == 2
    assert [pool_of(kind, sizes) for kind in ("parse", "store", "embed")] == ["parse", None, "*"]


def test_without_a_star_other_kinds_are_not_served():
    pools = Pools({"parse": 1})

    assert pools.serves("parse")
    assert not pools.serves("store")
    assert pools.free("store") == 0
    with pytest.raises(AssertionError, match="not served"):
        pools.take("store", 1)


def test_kinds_that_share_a_pool_share_its_slots():
    pools = Pools({"*": 3})
    pools.take("parse", 2)
    assert pools.free("store") == 1
    pools.give("parse", 1)

    assert pools.free("store") == 2
    assert pools.held == {"parse": 1}
    assert repr(pools) == "Pools(*=1/3)"


def test_what_is_leased_ahead_leaves_no_free_slot_and_has_an_end():
    pools = Pools({"*": 2}, prefetch={"noop": 10})
    pools.take("noop", 12)

    assert pools.free("noop") == 0
    for kind in ("noop", "parse"):
        with pytest.raises(AssertionError, match="exceed"):
            pools.take(kind, 1)
    pools.give("noop", 11)
    assert pools.free("parse") == 1


def test_counts_that_would_be_wrong_are_bugs_and_say_so():
    pools = Pools({"*": 2})
    pools.take("parse", 1)

    for kind, n in (("parse", 2), ("store", 1), ("parse", 0)):
        with pytest.raises(AssertionError, match=r"gave|given"):
            pools.give(kind, n)
    with pytest.raises(AssertionError, match="took 0"):
        pools.take("parse", 0)
    assert pools.held == {"parse": 1}
