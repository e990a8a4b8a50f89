"""Where results are kept outside the database: whether this machine finds each store, and whether it has room."""

from __future__ import annotations

from collections.abc import Iterator

from leasehold.artifacts import database
from leasehold.artifacts.stores import check_mark, open_store
from leasehold.doctor.checks import Finding, Subject, bad, our_session, warn, well
from leasehold.errors import ArtifactStoreAway, UsageError

SCARCE_BYTES = 2_000_000_000
LOOK_S = 5.0


def check_artifacts(subject: Subject) -> Iterator[Finding]:
    with our_session(subject) as session:
        if session is None:
            yield well("results", "the database has no schema of ours yet")
            return
        known = database.stores(session)
        strays = database.strays_total(session)
    for one in known:
        about = str(one.address)
        try:
            store = open_store(one.address, mark=one.mark, timeout_s=LOOK_S)
            check_mark(store, one.address, one.mark)
            free = store.room_bytes()
        except (ArtifactStoreAway, UsageError) as error:
            yield bad(about, error.message, error.remedy)
            continue
        if free is not None and free < SCARCE_BYTES:
            yield warn(about, f"{free / 1e6:,.0f} MB free", "leasehold artifact collect", free_bytes=free)
        else:
            yield well(about, "is there" + (f", {free / 1e9:,.1f} GB free" if free is not None else ""))
    if not known:
        yield well("results", "are kept in the database")
    elif strays:
        yield well("strays", f"{strays:,} objects that no result refers to", strays=strays)
