"""Chaos: the fault lab. It runs real workers on a real server, hurts them on purpose, and then counts.

    report = Lab(ChaosOptions(runs=2000, kill_every_s=1, cut_every_s=3, seed=7)).run()
    assert report.held, report.broken

A workload of known outcome (`workload`) is worked by hosts, which are keepers with children in processes of their own
(`hosts`); between them and the database stands a bad network (`leasehold.testing.Proxy`). What is hurt, and when, is
drawn from the seed (`attacks`). When the noise is over everything is worked off, and the books must balance (`lab`):
the kernel's invariants, one effect for each accepted success, and the result of an undisturbed run, to the last digit.

Authoritative: the database alone; nothing that a worker says of itself is believed. The lab's server and its database
are the lab's own, and gone afterwards; somebody else's server is attacked only when that is asked for in so many words,
and then only a database that the lab has made.

What can fail: the lab cannot make time repeat. The seed draws the same attacks in the same order, the operating system
does not; a failure says its seed and what was broken, and keeps nothing else.

Not here: a fixed order of statements (`leasehold.testing.races`), schedules that replay exactly (tests/simulation).
"""
