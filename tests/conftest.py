"""A real PostGIS for the tests.

It is GEOSVC_TEST_DATABASE_URL, else a container where Docker answers, else a private cluster.
Every test that writes gets a database cloned from a template; tests that only read share one.

pytest imports this module for the pure tests of tests/unit too. So the application, aiohttp and
asyncpg are imported only in the fixtures that need them (tests/unit/test_light_start.py).
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import hypothesis
import pytest

from tests.databases import execute as execute  # noqa: PLC0414 - the other tests have it from here
from tests.databases import make_template
from tests.databases import with_database as with_database  # noqa: PLC0414 - likewise
from tests.pooler import pooled_database as pooled_database  # noqa: PLC0414 - a fixture

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.test_utils import TestClient

    from geosvc.settings import Settings
    from tests.processes import Running

FIXTURES = Path(__file__).parent.parent / "fixtures"
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_prepared_transactions": "4",
}

Client: TypeAlias = "TestClient[web.Request, web.Application]"
ClientOf = Callable[..., Awaitable["Client"]]
Service = Callable[..., Awaitable["Client"]]

_numbers = count(1)

hypothesis.settings.register_profile(
    "geosvc", deadline=None
)  # a machine that is busy is no fault of the code
hypothesis.settings.load_profile("geosvc")


# the files that take longest, first: who comes last keeps one core busy while the others wait
LONGEST = (
    "test_schemathesis",
    "test_live_map",
    "test_bulk_killed",
    "test_browser",
    "test_changes_on_standby",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the files that take longest."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the service runs on."""
    import uvloop

    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def cluster_folder() -> Iterator[Path]:
    """A folder that the server's user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="geosvc-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _docker_answers() -> bool:
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").is_socket():
        return False
    return (
        subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode
        == 0
    )


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of a superuser on a server for the tests."""
    given = os.environ.get("GEOSVC_TEST_DATABASE_URL")
    if given:
        yield given
        return
    if _docker_answers():
        from testcontainers.postgres import PostgresContainer

        with PostgresContainer("postgis/postgis:15-3.4", driver=None) as container:
            yield container.get_connection_url()
        return
    from geosvc.devdb.cluster import SUPERUSER, Cluster

    cluster = Cluster(request.getfixturevalue("cluster_folder") / "cluster", settings=FAST)
    cluster.start()
    yield cluster.url("postgres", SUPERUSER)
    cluster.stop()


@pytest.fixture(scope="session")
def bare_template(server_url: str) -> str:
    """A database with PostGIS and nothing else."""
    return make_template(server_url, "geosvc_bare")


@pytest.fixture(scope="session")
def nasty_template(server_url: str) -> str:
    """A database with the nasty tables."""
    return make_template(server_url, "geosvc_nasty", (FIXTURES / "nasty.sql").read_text("utf-8"))


@contextmanager
def _cloning(server_url: str) -> Iterator[Callable[[str], str]]:
    """Makes databases from templates, and drops them at the end."""
    made: list[str] = []

    def make(template: str) -> str:
        name = f"geosvc_test_{os.getpid()}_{next(_numbers)}"
        execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        made.append(name)
        return with_database(server_url, name)

    yield make
    for name in made:
        execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def clone(server_url: str) -> Iterator[Callable[[str], str]]:
    """Makes databases from templates, and drops them after the test."""
    with _cloning(server_url) as make:
        yield make


@pytest.fixture(scope="module")
def bare_module_url(server_url: str, bare_template: str) -> Iterator[str]:
    """A database with PostGIS and nothing else, for a module whose tests only read."""
    with _cloning(server_url) as make:
        yield make(bare_template)


@pytest.fixture
def bare_database_url(clone: Callable[[str], str], bare_template: str) -> str:
    """A fresh database with PostGIS and nothing else."""
    return clone(bare_template)


@pytest.fixture
def nasty_database_url(clone: Callable[[str], str], nasty_template: str) -> str:
    """A fresh database with the nasty tables, to write to."""
    return clone(nasty_template)


@pytest.fixture(scope="session")
def nasty_url(server_url: str, nasty_template: str) -> str:
    """The nasty tables, shared by the tests that only read."""
    name = "geosvc_nasty_shared"
    execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{nasty_template}"')
    return with_database(server_url, name)


@pytest.fixture(scope="session")
def sample_url(server_url: str) -> str:
    """The sample data, shared by the tests that only read."""
    from geosvc.commands.samples import load_samples

    url = with_database(server_url, make_template(server_url, "geosvc_sample"))
    asyncio.run(load_samples(settings_for(url), url))
    return url


@pytest.fixture(scope="session")
def live_template(server_url: str) -> str:
    """A database with the change log and the published table `places`."""
    from tests.live import make_live_template

    return make_live_template(server_url)


@pytest.fixture
def live_url(clone: Callable[[str], str], live_template: str) -> str:
    """A fresh database with the published table `places`, of nine places on the diagonal."""
    return clone(live_template)


def settings_for(url: str, **options: object) -> "Settings":
    """Settings for tests: no waiting, and nothing of the environment's database."""
    from geosvc.settings import load_settings

    given: dict[str, Any] = {
        "database_url": url,
        "catalog_poll_seconds": 0.2,
        "log_level": "error",
        **options,
    }
    return load_settings(**given)


@pytest.fixture
async def client_of() -> AsyncIterator[ClientOf]:
    """Serves an application on a free port, and makes a client for it; both end with the test."""
    from aiohttp.test_utils import TestClient, TestServer

    async with AsyncExitStack() as stack:

        async def start(application: "web.Application", **runner_arguments: Any) -> Client:
            server = TestServer(application)
            stack.push_async_callback(server.close)
            await server.start_server(**runner_arguments)
            return await stack.enter_async_context(TestClient(server))

        yield start


@pytest.fixture
def service(client_of: ClientOf) -> Service:
    """Starts the service in this process for a database."""
    from geosvc.app import build_app
    from geosvc.server.serve import runner_arguments

    async def start(url: str, **options: object) -> Client:
        settings = settings_for(url, **options)
        return await client_of(build_app(settings), **runner_arguments(settings))

    return start


@pytest.fixture
async def nasty(service: Service, nasty_url: str) -> Client:
    """The service of the nasty tables."""
    return await service(nasty_url)


@pytest.fixture
async def sample(service: Service, sample_url: str) -> Client:
    """The service of the sample data."""
    return await service(sample_url)


@pytest.fixture(scope="session")
def sample_process(sample_url: str) -> Iterator["Running"]:
    """The built program serving the sample data, shared; its log holds no error at the end."""
    from tests.processes import serving, unexpected

    with serving(sample_url) as running:
        assert running.url
        yield running
        assert running.stop() == 0
        assert not unexpected(running)


@pytest.fixture
def sample_server(sample_process: "Running") -> tuple[str, int]:
    """Host and port of the built program."""
    parts = urlsplit(sample_process.url)
    return str(parts.hostname), int(parts.port or 0)
