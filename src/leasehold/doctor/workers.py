"""The workers: who is late, who is silent by its own word, and whether anybody is there for what waits."""

from __future__ import annotations

from collections.abc import Iterator

from leasehold.db import migrations
from leasehold.db.session import Session
from leasehold.doctor.checks import Finding, Subject, Verdict
from leasehold.kernel import holders, silences


def check_workers(subject: Subject) -> Iterator[Finding]:
    with Session(subject.target, application_name="leasehold doctor") as session:
        if migrations.is_empty(session):
            yield Finding(about="workers", verdict=Verdict.OK, sentence="the database has no schema of ours yet")
            return
        migrations.require_current(session)
        living = [one for one in holders.living(session) if one.kind == "worker"]
        waiting = silences.waiting(session)
    if waiting and not living:
        yield Finding(
            about="workers",
            verdict=Verdict.WARN,
            sentence=f"work waits ({', '.join(sorted({one.kind for one in waiting}))}) and no worker runs",
            remedy="Run `leasehold worker`, or the ingest again.",
        )
    troubled = [one for one in living if one.silent or one.expired]
    for one in troubled:
        yield _of_worker(one)
    if not troubled and not (waiting and not living):
        yield Finding(about="workers", verdict=Verdict.OK, sentence=_peace(len(living)))


def _peace(n: int) -> str:
    return f"{n} running, none of them silent" if n else "none runs, and nothing waits"


def _of_worker(one: holders.Living) -> Finding:
    facts = {"holder_id": one.holder_id, "name": one.name, "host": one.host, "pid": one.pid, "steps": one.steps}
    about = f"worker {one.name} (holder {one.holder_id}, pid {one.pid})"
    if one.expired:
        sentence = f"its heartbeat is {one.heard_s:.0f} s old; whoever looks next gives back what it holds"
        return Finding(about=about, verdict=Verdict.WARN, sentence=sentence, facts=facts)
    meant = "held back" in (one.silent or "")  # a pause, a breaker, a full resource: somebody's word, not a fault
    return Finding(
        about=about,
        verdict=Verdict.WARN if meant else Verdict.BAD,
        sentence=f"it claims nothing while work waits, since {one.silent_s or 0:.0f} s: {one.silent}",
        remedy="Mend the cause it names; `leasehold why STEP` says more of one step.",
        facts={**facts, "silent": one.silent, "silent_s": one.silent_s},
    )
