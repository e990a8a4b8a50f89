"""Fixtures for pytest: `pytest_plugins = ["leasehold.testing.fixtures"]`.

Every test gets a database of its own. Tests that use `kernel` end with the invariants, whatever they did.
`--servers=18,15` (or LEASEHOLD_TEST_SERVERS) runs each test that touches a database once for each server, unless it is
marked `one_server`. A server that is not there is an error, not a skip.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.testing import clusters
from leasehold.testing.clock import Clock
from leasehold.testing.clusters import Cluster
from leasehold.testing.databases import Databases
from leasehold.testing.models import ModelServer
from leasehold.testing.pooler import Pooler
from leasehold.testing.stories import Kernel
from leasehold.testing.workbench import Workbench
from leasehold.workflows.finding import Places, find


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--servers", default=None, help="PostgreSQL versions to test on, as 18,15 (default: the embedded one)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "one_server: what this test shows does not depend on the server; the first one will do"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cluster" in metafunc.fixturenames:
        names = clusters.wanted(metafunc.config.getoption("--servers"))
        if metafunc.definition.get_closest_marker("one_server"):
            names = names[:1]
        metafunc.parametrize("cluster", names, indirect=True, scope="session", ids=[f"pg{n}" for n in names])


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    return clusters.start(request.param)


@pytest.fixture(scope="session")
def databases(cluster: Cluster) -> Iterator[Databases]:
    made = Databases(cluster)
    yield made
    made.remove_own()
    made.close()


@pytest.fixture
def database(databases: Databases) -> Iterator[str]:
    """The url of a migrated database that only this test uses."""
    with databases.clone() as url:
        yield url


@pytest.fixture
def empty_database(databases: Databases) -> Iterator[str]:
    """The url of a database without our schema."""
    with databases.clone(empty=True) as url:
        yield url


@pytest.fixture
def session(database: str) -> Iterator[Session]:
    with Session(Target(url=database), application_name="first") as made:
        yield made


@pytest.fixture
def second_session(database: str) -> Iterator[Session]:
    with Session(Target(url=database), application_name="second") as made:
        yield made


@pytest.fixture
def pooler(database: str) -> Iterator[Pooler]:
    """A PgBouncer in transaction mode before the test's database; its log is shown when the test fails."""
    with Pooler(database) as made:
        yield made
        print(made.log())


@pytest.fixture
def clock(session: Session) -> Clock:
    """The database's time: it stands still until the test moves it."""
    return Clock(session).hold()


@pytest.fixture
def workflow_places() -> Places:
    """Where the workflows are that `workbench` runs by name. Override it: `return Places(folder="flows")`."""
    return Places()


@pytest.fixture
def workbench(session: Session, workflow_places: Places) -> Iterator[Workbench]:
    """Steps and workflows of yours, run on this test's own database."""
    made = Workbench(session, lambda: find(workflow_places))
    yield made
    made.close()


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A provider of embeddings on this machine, whose answers and failures the test decides."""
    with ModelServer() as made:
        yield made


@pytest.fixture
def kernel(session: Session, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """The kernel in few words; its invariants are checked when the test has passed."""
    made = Kernel(session)
    yield made
    made.check()
