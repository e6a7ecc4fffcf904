"""Starting the services that geosvc is compared with, each with as many processes as geosvc."""

import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from time import sleep

from benchmarks.address import Address, parse_address
from benchmarks.programs import find_program
from benchmarks.servers import Server, Started, environment, running
from geosvc.errors import StartError

WORKERS = 2
ROOT = Path(__file__).parent.parent
_PYTHON = ROOT / ".venv-peers/bin/python"
_TEMPLATES = Path(__file__).parent / "peers"


@dataclass(frozen=True, slots=True)
class Place:
    """What a peer is given.

    Attributes:
        folder: for its files; removed at the end.
    """

    address: Address
    database_url: str
    port: int
    folder: Path

    @property
    def url(self) -> str:
        """Where it is to listen."""
        return f"http://127.0.0.1:{self.port}"

    def fill(self, name: str, **values: object) -> Path:
        """Writes a template of the folder `peers` with the values of this place."""
        text = Template((_TEMPLATES / name).read_text("utf-8")).substitute(
            url=self.url,
            port=self.port,
            folder=self.folder,
            workers=WORKERS,
            host=self.address.host,
            database_port=self.address.port,
            database=self.address.database,
            user=self.address.user,
            password=self.address.password,
            connection=self.address.keywords,
            **values,
        )
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path


@dataclass(frozen=True, slots=True)
class Command:
    """What starts a peer."""

    words: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a service has its features.

    Attributes:
        item: of a building, with {id}.
        buildings: of several, with {query}.
        points: of several points, with {query}.
    """

    item: str
    buildings: str
    points: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A service to compare with.

    Attributes:
        packages: of Python, whose versions are told.
        debian_packages: likewise.
    """

    prepare: Callable[[Place], Command]
    packages: Sequence[str]
    paths: Paths
    debian_packages: Sequence[str] = ()


def python_of_peers() -> str:
    """The interpreter that has the packages of the peers. Raises: StartError."""
    if not _PYTHON.exists():
        raise StartError("the packages of the peers are not installed: make setup-bench")
    return str(_PYTHON)


def _uvicorn(app: str, place: Place, **variables: str) -> Command:
    words = [python_of_peers(), "-m", "uvicorn", app, "--port", str(place.port)]
    options = ["--workers", str(WORKERS), "--no-access-log", "--log-level", "warning"]
    return Command([*words, *options], variables)


def _gunicorn(app: str, place: Place, **variables: str) -> Command:
    words = [python_of_peers(), "-m", "gunicorn", app, "--bind", f"127.0.0.1:{place.port}"]
    options = ["--workers", str(WORKERS), "--log-level", "warning", "--no-control-socket"]
    return Command([*words, *options], variables)


def _tipg(place: Place) -> Command:
    return _uvicorn(
        "tipg.main:app",
        place,
        DATABASE_URL=place.address.url,
        TIPG_DB_SCHEMAS='["public","bench_points"]',
        TIPG_DB_TABLES='["public.buildings_bench","bench_points.points_150000"]',
    )


def _plain_fastapi(place: Place) -> Command:
    app = "benchmarks.peers.plain_fastapi:app"
    return _uvicorn(app, place, BENCH_DATABASE_URL=place.database_url)


def _sqlalchemy_fastapi(place: Place) -> Command:
    app = "benchmarks.peers.sqlalchemy_fastapi:app"
    return _uvicorn(app, place, BENCH_DATABASE_URL=place.database_url)


def _sqlalchemy_flask(place: Place) -> Command:
    app = "benchmarks.peers.sqlalchemy_flask:app"
    return _gunicorn(app, place, BENCH_DATABASE_URL=place.database_url)


def _pygeoapi(place: Place) -> Command:
    config, openapi = place.fill("pygeoapi.yml"), place.folder / "openapi.yml"
    variables = {"PYGEOAPI_CONFIG": str(config), "PYGEOAPI_OPENAPI": str(openapi)}
    program = Path(python_of_peers()).with_name("pygeoapi")
    made = subprocess.run(
        [str(program), "openapi", "generate", str(config), "--output-file", str(openapi)],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise StartError(f"pygeoapi: {made.stderr.strip()[-500:]}")
    return _gunicorn("pygeoapi.flask_app:APP", place, **variables)


def _mapserver(place: Place) -> Command:
    for name in ("mapserver.map", "mapserver.conf"):
        place.fill(name)
    # lighttpd starts its FastCGI programs by their paths
    config = place.fill("lighttpd.conf", program=find_program("mapserv"))
    return Command([str(find_program("lighttpd")), "-D", "-f", str(config)])


_OWN_PATHS = Paths("/buildings/{id}", "/buildings?{query}", "/points?{query}")
PEERS: Mapping[str, Peer] = {
    "tipg": Peer(
        _tipg,
        ("tipg", "uvicorn"),
        Paths(
            "/collections/public.buildings_bench/items/{id}",
            "/collections/public.buildings_bench/items?{query}",
            "/collections/bench_points.points_150000/items?{query}",
        ),
    ),
    "FastAPI + asyncpg": Peer(_plain_fastapi, ("fastapi", "asyncpg", "uvicorn"), _OWN_PATHS),
    "FastAPI + SQLAlchemy": Peer(
        _sqlalchemy_fastapi, ("fastapi", "sqlalchemy", "asyncpg"), _OWN_PATHS
    ),
    "Flask + SQLAlchemy": Peer(
        _sqlalchemy_flask, ("flask", "sqlalchemy", "psycopg2-binary", "gunicorn"), _OWN_PATHS
    ),
    "pygeoapi": Peer(
        _pygeoapi,
        ("pygeoapi", "gunicorn"),
        Paths(
            "/collections/buildings/items/{id}",
            "/collections/buildings/items?{query}",
            "/collections/points/items?{query}",
        ),
    ),
    "MapServer": Peer(
        _mapserver,
        (),
        Paths(
            "/mapserv/bench/ogcapi/collections/buildings/items/{id}?f=json",
            "/mapserv/bench/ogcapi/collections/buildings/items?f=json&{query}",
            "/mapserv/bench/ogcapi/collections/points/items?f=json&{query}",
        ),
        ("cgi-mapserver", "lighttpd"),
    ),
}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def peer_server(name: str, database_url: str) -> Iterator[Server]:
    """A peer that answers.

    Raises: StartError when something is missing, or it does not start.
    """
    peer = PEERS[name]
    with TemporaryDirectory() as folder:
        place = Place(parse_address(database_url), database_url, _free_port(), Path(folder))
        command = peer.prepare(place)
        variables = environment(PYTHONPATH=str(ROOT), **command.variables)
        with running(command.words, variables) as started:
            _wait_for_answer(started, place.url + peer.paths.item.format(id=1))
            yield Server(place.url, started.process.pid, started.at)


def _wait_for_answer(started: Started, url: str) -> None:
    while started.is_awaited():
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, OSError):
            sleep(0.05)
        else:
            return
    raise started.failure()
