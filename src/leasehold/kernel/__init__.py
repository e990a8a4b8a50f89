"""The kernel: who holds which step, and how steps, runs and groups end.

Authoritative: the rows, by the database's clock. Every verb is one SQL function in `sql/`, called by one method here;
psql, the doctor and the tests use the same ones. Nothing in this package caches a state.

Invariants (checked as SQL by `checks.violations`): a step stands in exactly one of blocked, delayed, ready, lease, or
in none and its newest outcome is final; a lease belongs to a living holder; a seat has one user, and a lease no more
seats than it needs; a run ends once a round; a group completes once a round, when it is sealed and all its runs have
ended.

What can fail: a reply can be lost, so every verb may be sent again. A worker can outlive its lease, so every write
names its token, and a late one is refused and counted.

Not here: what a step does, documents, models, which lane to serve (the worker's policy), processes.
"""
