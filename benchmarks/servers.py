"""The processes that are measured: geosvc, and the peers beside it."""

import os
import signal
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


@dataclass(frozen=True, slots=True)
class Started:
    """A process, and where it writes what it says.

    Attributes:
        at: when it was started, by `perf_counter`.
    """

    process: "subprocess.Popen[bytes]"
    log: Path
    at: float

    def failure(self) -> StartError:
        """That it did not start, with its last words."""
        said = self.log.read_text("utf-8", "replace").strip()[-1000:]
        return StartError(f"{' '.join(self.process.args)} did not start: {said}")  # type: ignore[arg-type]  # a list, as it was given

    def is_awaited(self) -> bool:
        """Whether it runs, and has not had its time to start."""
        return perf_counter() < self.at + START_SECONDS and self.process.poll() is None


@contextmanager
def running(command: Sequence[str], variables: Mapping[str, str]) -> Iterator[Started]:
    """A process, until it is no longer wanted; then those that it has started end, too."""
    with TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("wb") as stderr:
            started = perf_counter()
            process = subprocess.Popen(
                command,
                env=variables,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        try:
            yield Started(process, log, started)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def _process(
    command: Sequence[str], variables: Mapping[str, str], url_member: str
) -> Iterator[Server]:
    """A process that writes a JSON line with its URL on standard error once it listens."""
    with running(command, variables) as started:
        url = _wait_for_url(started, url_member)
        yield Server(url, started.process.pid, started.at)


def _wait_for_url(started: Started, member: str) -> str:
    while started.is_awaited():
        for line in started.log.read_bytes().splitlines():
            with suppress(msgspec.DecodeError):
                document = msgspec.json.decode(line)
                if isinstance(document, dict) and member in document:
                    return str(document[member])
        sleep(0.002)
    raise started.failure()


def environment(**variables: str) -> dict[str, str]:
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
    settings = environment(GEOSVC_DATABASE_URL=database_url, **variables)
    with _process(GEOSVC, settings, "url") as server:
        yield server


@contextmanager
def fastapi_server(database_url: str) -> Iterator[Server]:
    """A plain FastAPI + asyncpg service under uvicorn, one worker, with uvloop and httptools."""
    command = (sys.executable, "-m", "benchmarks.peers.plain_fastapi")
    with _process(command, environment(BENCH_DATABASE_URL=database_url), "url") as server:
        yield server


@contextmanager
def empty_server(body_bytes: int = 0) -> Iterator[Server]:
    """An aiohttp service under uvloop whose one handler returns the same bytes every time."""
    command = (sys.executable, "-m", "benchmarks.peers.empty_aiohttp", str(body_bytes))
    with _process(command, environment(), "url") as server:
        yield server
