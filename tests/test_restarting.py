"""One instance after another: a port that is taken over without a failed request, or at once after
a crash.
"""

import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self

import pytest

from tests.conftest import execute
from tests.processes import Running, serving, unexpected
from tests.test_serving import SLOW, eventually, get
from tests.test_stopping import answer_of, connected


@pytest.fixture
def url(bare_database_url: str) -> str:
    """A database with something to read."""
    execute(bare_database_url, SLOW)
    return bare_database_url


def free_port() -> int:
    """One that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Asking:
    """Clients that ask again and again until they are told to stop."""

    def __init__(self, port: int, kinds: tuple[bool, ...]) -> None:
        self.outcomes: Counter[str] = Counter()
        self._port = port
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(kept,)) for kept in kinds]

    def _ask(self, kept: bool) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._stopped.is_set():
            try:
                connection.request("GET", "/collections/points/items/7")
                response = connection.getresponse()
                response.read()
                outcome = str(response.status)
            except (OSError, HTTPException) as error:
                outcome = repr(error)
                connection.close()
            self.outcomes[outcome] += 1
            if not kept:
                connection.close()
            self._stopped.wait(0.005)  # the service needs some of the processor, too
        connection.close()

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for each in self._threads:
            each.join()


@pytest.mark.parametrize(("workers", "loop"), [("1", "asyncio"), ("2", "uvloop")])
def test_a_port_is_taken_over_without_a_failed_request(url: str, workers: str, loop: str) -> None:
    ports = ("--port", str(free_port()), "--admin-port", str(free_port()))
    settings = {
        "reuse_port": "true",
        "shutdown_delay_seconds": "0.5",
        "workers": workers,
        "loop": loop,
    }
    with ExitStack() as stack:
        first = stack.enter_context(serving(url, *ports, **settings))
        first.wait_for("server_started", int(workers))
        with Asking(int(ports[1]), (True, True, False, False)) as asking:
            second = stack.enter_context(serving(url, *ports, **settings))
            second.wait_for("server_started", int(workers))
            eventually(lambda: asking.outcomes.total() > 100)
            assert first.stop() == 0
            stopped = asking.outcomes.total()
            eventually(lambda: asking.outcomes.total() > stopped + 50)
            assert get(f"{second.admin_url}/readyz")[0] == 200
        assert set(asking.outcomes) == {"200"}
        assert not unexpected(first) + unexpected(second)


def test_a_port_is_taken_over_only_where_both_say_so(url: str) -> None:
    ports = ("--port", str(free_port()), "--admin-port", str(free_port()))
    for first, second, workers in (("false", "true", "1"), ("true", "false", "2")):
        with serving(url, *ports, reuse_port=first) as running:
            running.wait_for("server_started")
            with serving(url, *ports, reuse_port=second, workers=workers) as refused:
                assert refused.process.wait(30) == 1
            assert any("GEOSVC_REUSE_PORT" in str(line.get("text")) for line in refused.log)


def test_a_restart_need_not_wait_for_connections_that_linger(url: str) -> None:
    ports = ("--port", str(free_port()), "--admin-port", str(free_port()))
    for workers in ("1", "2"):
        with serving(url, *ports, workers=workers) as running, ExitStack() as stack:
            running.wait_for("server_started", int(workers))
            kept = [stack.enter_context(connected(running)) for _ in range(8)]
            for connection in kept:
                connection.sendall(b"GET /conformance HTTP/1.1\r\nHost: x\r\n\r\n")
                assert answer_of(connection)[0] == 200
            assert (
                running.stop() == 0
            )  # it closes the connections, which are in TIME_WAIT for a minute


def children(running: Running) -> list[int]:
    """The processes that the service has started."""
    pid = running.process.pid
    return [
        int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    ]


def started(running: Running) -> None:
    """Waits until the workers serve."""
    running.wait_for("server_started", 2)


def begun(running: Running) -> None:
    """Waits until the workers, and the process that looks after their semaphores, have been
    started.
    """
    eventually(lambda: len(children(running)) >= 2)


@pytest.mark.parametrize(("loop", "wait"), [("asyncio", started), ("uvloop", begun)])
def test_workers_end_with_a_killed_supervisor(
    url: str, loop: str, wait: Callable[[Running], None]
) -> None:
    ports = ("--port", str(free_port()), "--admin-port", str(free_port()))
    with serving(url, *ports, workers="2", loop=loop) as running:
        wait(running)
        pids = children(running)
        os.kill(running.process.pid, signal.SIGKILL)
        eventually(lambda: not any(map(alive, pids)))
    with serving(url, *ports, workers="2", loop=loop) as running:
        assert get(f"{running.url}/collections/points/items/7")[0] == 200


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text("ascii")
    except OSError:
        return False
