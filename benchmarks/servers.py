"""The processes that are measured: geosvc, and the peers beside it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import msgspec

from geosvc.errors import StartError

START_SECONDS = 30.0
STOP_SECONDS = 10.0
POOL_CONNECTIONS = 10
GEOSVC = (sys.executable, "-m", "geosvc", "serve", "--port", "0", "--admin-port", "0")


@dataclass(frozen=True, slots=True)
class Server:
    """A service that listens.

    Attributes:
        url: its root.
        started: when its process was started, by `perf_counter`.
    """

    url: str
    pid: int
    started: float


@contextmanager
def _process(
    command: Sequence[str], environment: Mapping[str, str], url_member: str
) -> Iterator[Server]:
    """A process that writes a JSON line with its URL on standard error once it listens."""
    with TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("wb") as stderr:
            started = perf_counter()
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=stderr
            )
        try:
            yield Server(_wait_for_url(process, log, url_member), process.pid, started)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_url(process: "subprocess.Popen[bytes]", log: Path, member: str) -> str:
    until = perf_counter() + START_SECONDS
    while perf_counter() < until and process.poll() is None:
        for line in log.read_bytes().splitlines():
            with suppress(msgspec.DecodeError):
                document = msgspec.json.decode(line)
                if isinstance(document, dict) and member in document:
                    return str(document[member])
        sleep(0.002)
    said = log.read_text("utf-8", "replace").strip()[-1000:]
    raise StartError(f"{' '.join(process.args)} did not start: {said}")  # type: ignore[arg-type]  # a list, as it was given


def _environment(**variables: str) -> dict[str, str]:
    """The environment of this process, without settings of a geosvc that has nothing to do with the
    benchmarks.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("GEOSVC_")
    }
    return {**inherited, **variables}


@contextmanager
def geosvc_server(database_url: str, **variables: str) -> Iterator[Server]:
    """The service with one worker and its defaults.

    Args:
        variables: settings that differ, such as GEOSVC_SCHEMAS.
    """
    environment = _environment(GEOSVC_DATABASE_URL=database_url, **variables)
    with _process(GEOSVC, environment, "url") as server:
        yield server


@contextmanager
def fastapi_server(database_url: str) -> Iterator[Server]:
    """A plain FastAPI + asyncpg service under uvicorn, one worker, with uvloop and httptools."""
    command = (sys.executable, "-m", "benchmarks.peers.plain_fastapi")
    with _process(command, _environment(BENCH_DATABASE_URL=database_url), "url") as server:
        yield server


@contextmanager
def empty_server(body_bytes: int = 0) -> Iterator[Server]:
    """An aiohttp service under uvloop whose one handler returns the same bytes every time."""
    command = (sys.executable, "-m", "benchmarks.peers.empty_aiohttp", str(body_bytes))
    with _process(command, _environment(), "url") as server:
        yield server
