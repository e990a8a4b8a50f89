"""Artifacts outside the database: whole or not there, found wherever they lie, waited for, cleaned by exact name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from documents_by_hand import HandIngest, Killed, Library
from object_server import BUCKET, SECRET, ObjectServer, objects, the_object_server

from leasehold.artifacts import keeping
from leasehold.artifacts.folder import FolderStore
from leasehold.artifacts.keeping import Artifacts
from leasehold.db.target import Target
from leasehold.documents import orphans, recipe_steps, waiting
from leasehold.errors import ArtifactStoreAway, ArtifactStoreFull, NotFound, UsageError
from leasehold.kernel import holders, why
from leasehold.options import ArtifactOptions
from leasehold.testing.clock import Clock
from leasehold.types import StepLease

pytestmark = pytest.mark.one_server
__all__ = ["objects", "the_object_server"]
N = 6


@pytest.fixture
def library(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """Six documents; steps that wait for a store look again soon."""
    monkeypatch.setattr(waiting, "WAIT_S", 0.02)
    monkeypatch.setattr(keeping, "HOLD_S", 0.01)
    monkeypatch.setattr(keeping, "HOLD_MAX_S", 0.05)
    made = Library(database, tmp_path / "folder")
    made.folder.mkdir()
    for number in range(N):
        made.write(f"{number:03}.md", f"# Note {number}\n\n" + f"The lease of worker {number} has a token. " * 40)
    yield made
    made.session.close()


@dataclass
class Place:
    """A store of one kind: its settings, and a look at what lies there."""

    options: ArtifactOptions
    lying: Callable[[], set[str]]

    def but(self, **changed: Any) -> ArtifactOptions:
        return ArtifactOptions(**{**asdict(self.options), **changed})


def folder_place(root: Path, **options: Any) -> Place:
    def keys() -> set[str]:
        found = {str(one.relative_to(root)) for one in root.rglob("*") if one.is_file()}
        return {key for key in found if not key.startswith("leasehold-")}

    return Place(ArtifactOptions(url=f"file://{root}", inline_max_bytes=0, **options), keys)


def bucket_place(server: ObjectServer, prefix: str) -> Place:
    def keys() -> set[str]:
        return {key.removeprefix(f"{prefix}/") for key in server.keys(f"{prefix}/")}

    options = ArtifactOptions(
        url=f"s3://{BUCKET}/{prefix}", endpoint=server.endpoint, inline_max_bytes=0, timeout_s=1.0
    )
    return Place(options, keys)


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return folder_place(tmp_path / "results")
    server = request.getfixturevalue("objects")
    return bucket_place(server, tmp_path.name)


def rows(library: Library) -> set[str]:
    return {key for (key,) in library.rows("select key from leasehold.artifact where key is not null")}


def attempts(library: Library) -> int:
    """The highest attempt that any step was in."""
    return int(library.one("select coalesce(max(attempt), 0) from leasehold.outcome"))


def strays(library: Library) -> int:
    return int(library.one("select count(*) from leasehold.artifact_stray"))


def sweep(library: Library, place: Place) -> orphans.Swept:
    return orphans.sweep(library.session, Artifacts(Target(url=library.url), place.options))


def collect(library: Library, place: Place) -> int:
    orphans.collect(library.session, older_than_s=0.0)
    swept = sweep(library, place)
    assert not swept.away
    return swept.objects


# -- where results lie ------------------------------------------------------------------------------------------------


def test_results_lie_where_the_setting_says_each_under_one_row_and_give_the_same_digest(
    library: Library, place: Place, databases: Any
) -> None:
    report = library.ingest(artifacts=place.options)
    assert report.computed == {"parse": N, "chunk": N, "embed": N}
    assert place.lying() == rows(library)
    assert len(place.lying()) == 3 * N
    assert library.one("select count(*) from leasehold.artifact where content is not null") == 0
    assert strays(library) == 0
    with databases.clone() as url:
        usual = Library(url, library.folder)
        usual.ingest()
        assert usual.digest() == library.digest()
        usual.session.close()


def test_what_was_kept_elsewhere_stays_readable_whatever_the_setting_becomes(
    library: Library, tmp_path: Path, objects: ObjectServer
) -> None:
    """Method: four ingests with another place each, compressed or not; each reads the parsed text from the first one's,
    and the last one everything that is mixed by then."""
    first = folder_place(tmp_path / "first", zstd_level=0)
    bucket = bucket_place(objects, tmp_path.name)
    assert library.ingest(artifacts=first.options).computed["parse"] == N
    plain = (tmp_path / "first" / sorted(first.lying())[0]).read_bytes()
    assert b"zstd" not in library.one("select string_agg(distinct encoding, ',') from leasehold.artifact").encode()
    assert plain[:4] != b"\x28\xb5\x2f\xfd"
    for size, options in ((300, bucket.options), (400, ArtifactOptions(zstd_level=19)), (500, first.but(zstd_level=3))):
        report = library.ingest(artifacts=options, chunk_size=size)
        assert report.computed == {"chunk": N, "embed": N}, size
    assert first.lying() | bucket.lying() == rows(library)
    assert library.one("select count(*) from leasehold.artifact where content is not null") == 2 * N
    back = library.ingest(artifacts=ArtifactOptions(), chunk_size=300)
    assert back.computed == {}  # all of it lies in the bucket still
    assert {one.url: one.results for one in orphans.places(library.session)} == {
        "db:": 2 * N, first.options.url: 5 * N, f"{bucket.options.url} at {objects.endpoint}": 2 * N,
    }  # fmt: skip


def test_small_results_stay_in_the_database(library: Library, place: Place) -> None:
    library.ingest(artifacts=place.but(inline_max_bytes=100_000))
    assert place.lying() == set()
    assert strays(library) == 0


def test_the_same_result_made_twice_is_one_row_and_the_other_object_is_collected(
    library: Library, place: Place, clock: Clock
) -> None:
    """Two makers of one recipe (the first one's lease was lost) write; whoever commits second refers to nothing."""
    library.ingest(artifacts=place.options)
    made = Artifacts(Target(url=library.url), place.options)
    recipe, kind, step = library.rows("select recipe, kind, step_id from leasehold.artifact limit 1")[0]
    again = made.make(library.session, bytes(recipe), kind, b"made again", step_id=step, token=1)
    library.session.run(lambda connection: recipe_steps.database.save(connection, [again]))
    assert place.lying() - rows(library) == {again.key}
    assert collect(library, place) == 0  # its writer may still be there
    clock.advance(orphans.GRACE_S + 1)
    assert collect(library, place) == 1
    assert place.lying() == rows(library)


# -- between the object and its row -----------------------------------------------------------------------------------


def test_a_death_between_an_object_and_its_row_leaves_no_row_without_an_object_and_the_object_is_collected(
    library: Library, place: Place, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Method: a worker dies when it records its first results, after they were written. The step runs again, under
    another key; what the dead one wrote is a stray until it is old enough."""
    with monkeypatch.context() as patched:
        killed = HandIngest(library.config(artifacts=place.options))

        def die(*_: Any) -> None:
            killed.stop()
            raise Killed

        patched.setattr(recipe_steps.database, "save", die)
        assert killed.run().outcome == "interrupted"
    left = place.lying()
    assert left
    assert rows(library) == set()
    assert strays(library) == len(left)
    for (holder_id,) in library.rows("select holder_id from leasehold.holder where ended_at is null"):
        holders.end_dead(library.session, holder_id, reason="killed", blamed_step=None)
    assert library.ingest(artifacts=place.options).outcome == "complete"
    assert place.lying() == rows(library) | left
    assert collect(library, place) == 0
    clock.advance(orphans.GRACE_S + 1)
    assert collect(library, place) == len(left)
    assert place.lying() == rows(library)
    assert library.ingest(artifacts=place.options, chunk_size=300).computed == {"chunk": N, "embed": N}


def test_an_object_whose_writer_still_has_its_lease_is_never_collected(
    library: Library, place: Place, clock: Clock
) -> None:
    """However old: a page may take hours. Method: a sweep while a page is under work, long after it began."""
    looked: list[int] = []

    def look(kind: str, leases: Sequence[StepLease]) -> None:
        if kind == "chunk" and not looked:
            artifacts = Artifacts(Target(url=library.url), place.options)
            made = artifacts.make(library.session, bytes(32), "parse", b"slow work", step_id=1, token=leases[0].token)
            clock.advance(orphans.GRACE_S * 10)
            assert sweep(library, place).objects == 0
            assert made.key in place.lying()
            looked.append(1)

    library.ingest(between=look, artifacts=place.options)
    assert looked


def test_an_object_that_a_row_refers_to_is_never_collected_whatever_is_noted(library: Library, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "results")
    library.ingest(artifacts=place.options)
    library.rows(
        "insert into leasehold.artifact_stray select store_id, key, null, leasehold.now() from leasehold.artifact"
    )
    assert collect(library, place) == 0
    assert place.lying() == rows(library)


def test_collecting_removes_exact_keys_of_what_nothing_refers_to_and_nothing_else(
    library: Library, tmp_path: Path
) -> None:
    place = folder_place(tmp_path / "results")
    library.ingest(artifacts=place.options)
    library.ingest(artifacts=place.options, chunk_size=300)
    library.ingest(artifacts=place.options)
    root = tmp_path / "results"
    orphaned = len(place.lying()) - 3 * N
    near = sorted(place.lying())[0]
    mine = [root / "notes.txt", root / f"{near}.bak", root / near[:2] / "readme", root / f"{near[:-1]}g"]
    for file in mine:
        file.write_text("mine")
    assert orphans.strays(library.session, older_than_s=0) == 0
    assert collect(library, place) == orphaned == 2 * N
    assert all(file.read_text() == "mine" for file in mine)
    assert place.lying() == rows(library) | {str(file.relative_to(root)) for file in mine}
    assert strays(library) == 0


def test_a_collecting_that_is_interrupted_or_finds_the_store_away_is_finished_by_the_next(
    library: Library, tmp_path: Path
) -> None:
    place = folder_place(tmp_path / "results")
    library.ingest(artifacts=place.options)
    library.ingest(artifacts=place.options, chunk_size=300)
    orphans.collect(library.session, older_than_s=0.0)
    (tmp_path / "results").rename(tmp_path / "unmounted")
    swept = sweep(library, place)
    assert swept.objects == 0
    assert list(swept.away) == [place.options.url]
    (tmp_path / "results").mkdir()  # an empty mount point: nothing is missing there, it is another folder
    assert list(sweep(library, place).away) == [place.options.url]
    assert strays(library) == 2 * N
    (tmp_path / "results").rmdir()
    (tmp_path / "unmounted").rename(tmp_path / "results")
    assert sweep(library, place).objects == 2 * N
    assert place.lying() == rows(library)


# -- lost and damaged -------------------------------------------------------------------------------------------------


def test_results_that_are_damaged_or_lost_are_noticed_and_made_again_in_the_same_ingest(
    library: Library, tmp_path: Path
) -> None:
    place = folder_place(tmp_path / "results", zstd_level=0)  # so that nothing but the checksum can notice a flip
    library.ingest(artifacts=place.options)
    keys = [key for (key,) in library.rows("select key from leasehold.artifact where kind = 'parse' order by step_id")]
    flip, cut, longer, empty, gone, _ = [tmp_path / "results" / key for key in keys]
    flip.write_bytes((content := flip.read_bytes())[:20] + bytes([content[20] ^ 1]) + content[21:])
    cut.write_bytes(cut.read_bytes()[:-1])
    longer.write_bytes(longer.read_bytes() + b"x")
    empty.write_bytes(b"")
    gone.unlink()
    report = library.ingest(artifacts=place.options, chunk_size=300)
    assert report.outcome == "complete"
    assert report.computed["parse"] == 5
    assert set(library.states().values()) == {("stored", None)}
    assert collect(library, place) >= 5
    assert place.lying() & set(keys) == {keys[5]}


def test_a_result_in_the_database_that_is_damaged_is_made_again_too(library: Library) -> None:
    library.ingest()
    library.rows(
        "update leasehold.artifact set content = set_byte(content, 20, get_byte(content, 20) # 1) where recipe = "
        "(select recipe from leasehold.artifact where kind = 'parse' order by step_id limit 1)"
    )
    report = library.ingest(chunk_size=300)
    assert (report.outcome, report.computed["parse"]) == ("complete", 1)


def test_vectors_that_are_damaged_before_they_are_stored_are_made_again(library: Library, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "results")
    harmed: list[str] = []

    def harm(kind: str, leases: Sequence[StepLease]) -> None:
        if kind == "store" and not harmed:
            harmed.append(library.one("select key from leasehold.artifact where kind = 'embed' limit 1"))
            (tmp_path / "results" / harmed[0]).write_bytes(b"nonsense")

    report = library.ingest(between=harm, artifacts=place.options)
    assert report.outcome == "complete"
    assert report.computed["embed"] == N
    assert harmed[0] not in rows(library)


# -- away, full, slow -------------------------------------------------------------------------------------------------


def test_an_ingest_that_cannot_keep_results_says_so_before_it_works(
    library: Library, tmp_path: Path, objects: ObjectServer
) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    nobody = ArtifactOptions(url="s3://no-such-bucket/x", endpoint=objects.endpoint, timeout_s=1.0)
    for options in (ArtifactOptions(url=f"file://{file}/below"), nobody):
        with pytest.raises(ArtifactStoreAway) as refused:
            library.ingest(artifacts=options)
        assert SECRET not in str(refused.value)
    assert "Make the bucket" in str(refused.value)
    assert library.one("select count(*) from leasehold.run") == 0


def test_another_folder_at_the_same_path_is_refused_and_no_result_counts_as_lost(
    library: Library, tmp_path: Path
) -> None:
    place = folder_place(tmp_path / "results")
    library.ingest(artifacts=place.options)
    (tmp_path / "results").rename(tmp_path / "unmounted")
    (tmp_path / "results").mkdir()
    with pytest.raises(ArtifactStoreAway, match="not the artifact store that was set up"):
        library.ingest(artifacts=place.options, chunk_size=300)
    assert len(rows(library)) == 3 * N
    assert list((tmp_path / "results").iterdir()) == []


def test_a_folder_that_goes_away_in_the_middle_is_waited_for_and_no_attempt_is_charged(
    library: Library, tmp_path: Path
) -> None:
    place = folder_place(tmp_path / "results")
    seen: dict[str, int] = {}

    def unmount(kind: str, leases: Sequence[StepLease]) -> None:
        seen[kind] = seen.get(kind, 0) + 1
        if kind == "chunk" and seen[kind] == 1:
            (tmp_path / "results").rename(tmp_path / "unmounted")
        elif kind == "chunk" and seen[kind] == 5:
            (tmp_path / "results").mkdir()  # its mount point is there again, and empty
        elif kind == "chunk" and seen[kind] == 9:
            assert list((tmp_path / "results").iterdir()) == []
            (tmp_path / "results").rmdir()
            (tmp_path / "unmounted").rename(tmp_path / "results")

    report = library.ingest(between=unmount, page_max=5, artifacts=place.options)
    assert report.outcome == "complete"
    assert seen["chunk"] >= 9
    assert attempts(library) == 1
    assert place.lying() == rows(library)


def test_without_enough_free_space_nothing_is_computed_and_work_goes_on_when_there_is(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps go back uncharged and `why` says for what they wait."""
    place = folder_place(tmp_path / "results", free_mb_min=100)
    said: list[str] = []
    free = [99_000_000]
    monkeypatch.setattr(FolderStore, "room_bytes", lambda self: free[0])
    monkeypatch.setattr("leasehold.artifacts.keeping.LOOK_EVERY_S", 0.0)

    def look(kind: str, leases: Sequence[StepLease]) -> None:
        if kind != "parse":
            return
        for (step_id,) in library.rows("select step_id from leasehold.delayed"):
            facts = why.step_facts(library.session, step_id)
            assert facts is not None
            said.append(why.sentence(facts))
        if len(said) > 30:
            free[0] = 101_000_000

    report = library.ingest(between=look, page_max=4, artifacts=place.options)
    assert report.outcome == "complete"
    assert "not enough free space" in said[0]
    assert attempts(library) == 1


def test_a_full_disk_burns_no_attempt_and_leaves_no_part(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder_place(tmp_path / "results")
    refused = []
    write = os.write

    def full(descriptor: int, data: Any) -> int:
        if len(refused) < 25 and b"results" in os.readlink(f"/proc/self/fd/{descriptor}").encode():
            refused.append(1)
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    Artifacts(Target(url=library.url), place.options).settle(library.session)
    monkeypatch.setattr("leasehold.artifacts.folder.os.write", full)
    report = library.ingest(artifacts=place.options, page_max=3)
    assert report.outcome == "complete"
    assert len(refused) == 25
    assert attempts(library) == 1
    assert strays(library) == 0
    assert place.lying() == rows(library)


def test_while_a_store_is_full_or_away_nothing_is_made_for_nothing(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each result that cannot be kept was paid for. After one of them the process makes no more until some time has
    passed, and then only when there is room for it."""
    place = folder_place(tmp_path / "results", free_mb_min=0)
    made = Artifacts(Target(url=library.url), place.options)
    made.settle(library.session)
    free = [10_000_000]
    monkeypatch.setattr(FolderStore, "room_bytes", lambda self: free[0])
    monkeypatch.setattr(keeping, "HOLD_S", 3600.0)

    def put(number: int) -> None:
        made.make(library.session, bytes([number] * 32), "parse", os.urandom(1000), step_id=1, token=1)

    with monkeypatch.context() as patched:
        patched.setattr("leasehold.artifacts.folder.os.write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        made.check_room(library.session)
        with pytest.raises(ArtifactStoreFull):
            put(1)
    with pytest.raises(ArtifactStoreFull):
        made.check_room(library.session)
    assert 3500 < made.held_s <= 3600
    monkeypatch.setattr(keeping.time, "monotonic", lambda now=keeping.time.monotonic: now() + 3600)
    free[0] = 1500  # not enough for another one like it
    with pytest.raises(ArtifactStoreFull):
        made.check_room(library.session)
    monkeypatch.setattr(keeping.time, "monotonic", lambda now=keeping.time.monotonic: now() + 3600)
    free[0] = 10_000_000
    made.check_room(library.session)
    put(2)
    assert made.held_s == 0


def test_a_server_that_is_away_is_waited_for_and_one_that_loses_its_answers_is_asked_again(
    library: Library, tmp_path: Path, objects: ObjectServer
) -> None:
    """Refused connections, stalled ones past the limit, and answers lost after the object was written."""
    place = bucket_place(objects, tmp_path.name)
    options = place.but(timeout_s=0.2)
    seen: dict[str, int] = {}

    def disturb(kind: str, leases: Sequence[StepLease]) -> None:
        seen[kind] = seen.get(kind, 0) + 1
        harms = {"parse": objects.network.refuse, "chunk": objects.network.stall, "embed": objects.network.lose_replies}
        if kind in harms and seen[kind] == 1:
            harms[kind]()
        elif seen[kind] == 3:
            objects.network.heal()

    report = library.ingest(between=disturb, page_max=4, artifacts=options)
    objects.network.heal()
    assert report.outcome == "complete"
    assert attempts(library) == 1
    assert rows(library) <= place.lying()
    assert library.ingest(artifacts=options).computed == {}


def test_a_host_without_the_package_for_a_bucket_waits_instead_of_failing_documents(
    library: Library, tmp_path: Path, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to install when it would keep results there, and leaves to other hosts what lies there already."""
    place = bucket_place(objects, tmp_path.name)
    library.ingest(artifacts=place.options)
    monkeypatch.setitem(sys.modules, "leasehold.artifacts.objects", None)
    with pytest.raises(UsageError, match="obstore"):
        library.ingest(artifacts=place.options, chunk_size=300)
    elsewhere = Artifacts(Target(url=library.url), ArtifactOptions())
    recipe = bytes(library.one("select recipe from leasehold.artifact limit 1"))
    with pytest.raises(ArtifactStoreAway) as refused:
        elsewhere.read(library.session, [recipe])
    assert "pip install 'leasehold[s3]'" in refused.value.remedy
    assert len(rows(library)) == 3 * N


def test_a_slow_server_is_no_failure(library: Library, tmp_path: Path, objects: ObjectServer) -> None:
    place = bucket_place(objects, tmp_path.name)
    objects.network.latency_s = 0.01
    objects.network.bytes_per_s = 500_000
    assert library.ingest(artifacts=place.options).outcome == "complete"
    assert strays(library) == 0


# -- stores that are lost ---------------------------------------------------------------------------------------------


def test_a_store_that_is_lost_for_good_can_be_forgotten_and_its_results_are_made_again(
    library: Library, tmp_path: Path
) -> None:
    place = folder_place(tmp_path / "results")
    library.ingest(artifacts=place.options)
    before = library.digest()
    (tmp_path / "results").rename(tmp_path / "lost")
    with pytest.raises(NotFound):
        orphans.forget(library.session, "file:///nowhere", really=True)
    assert orphans.forget(library.session, place.options.url, really=False).results == 3 * N
    assert len(rows(library)) == 3 * N
    assert orphans.forget(library.session, place.options.url, really=True).results == 3 * N
    assert library.ingest(artifacts=place.options, chunk_size=300).computed["parse"] == N
    library.ingest(artifacts=place.options)
    assert library.digest() == before
