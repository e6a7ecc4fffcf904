"""Clients that use every file descriptor: the service keeps some for itself, and answers again when
there is room.
"""

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conftest import execute
from tests.processes import Running, serving_under, unexpected
from tests.test_serving import SLOW, eventually, get
from tests.test_stopping import answer_of, connected, live

LIMIT = 256
CLIENTS = 400
PATIENT = {"pool_acquire_seconds": "60"}


@contextmanager
def scarce(url: str, loop: str = "uvloop", hard: int = LIMIT, **settings: str) -> Iterator[Running]:
    """A service that may open few files, and fewer unless it asks for more."""
    with serving_under(
        ("prlimit", f"--nofile={hard // 2}:{hard}"), url, "--loop", loop, **PATIENT, **settings
    ) as running:
        yield running


def descriptors(running: Running) -> int:
    """How many files the service has open."""
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


@pytest.fixture
def url(bare_database_url: str) -> str:
    """A database with slow things to read."""
    execute(bare_database_url, SLOW)
    return bare_database_url


def ask(connection: socket.socket, path: str) -> None:
    """Sends a request."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def is_open(connection: socket.socket) -> bool:
    """Whether the service has closed a connection on which it has answered nothing."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_clients_that_hold_every_connection_leave_the_service_what_it_needs(
    url: str, loop: str
) -> None:
    with scarce(url, loop) as running, ExitStack() as rest, ThreadPoolExecutor() as pool:
        assert get(f"{running.url}/collections/points/items")[0] == 200
        with ExitStack() as stack:
            clients = [stack.enter_context(connected(running)) for _ in range(CLIENTS)]
            for client in clients:
                ask(client, "/collections/slow/items?seconds=60")
            full = running.wait_for("connections_full")
            eventually(lambda: len(live(running)) >= full["connections"])
            assert all(map(is_open, clients))
            assert descriptors(running) < LIMIT - 32
            for path in ("livez", "readyz", "metrics", "pool?f=json"):
                assert get(f"{running.admin_url}/{path}")[0] == 200
            last = rest.enter_context(connected(running))
            ask(last, "/conformance")
        assert answer_of(last)[0] == 200
        assert all(
            each[0] == 200
            for each in pool.map(get, [f"{running.url}/collections/points/items"] * 20)
        )
        assert running.stop() == 0
        assert len([line for line in running.log if line["event"] == "connections_full"]) == 1
        assert not unexpected(running)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_idle_connections_make_room_for_those_who_ask(url: str, loop: str) -> None:
    with scarce(url, loop) as running, ExitStack() as stack:
        for number in range(CLIENTS):
            connection = stack.enter_context(connected(running))
            if number % 2:
                ask(connection, "/conformance")
                assert answer_of(connection)[0] == 200
        for _ in range(20):
            assert get(f"{running.url}/collections/points/items/7")[0] == 200
        assert descriptors(running) < LIMIT - 32
        running.wait_for("connections_full")
        assert not unexpected(running)


@pytest.mark.parametrize(
    ("workers", "max_subscribers", "warned"), [("2", "5000", True), ("1", "50", False)]
)
def test_the_soft_limit_is_raised_and_a_warning_tells_what_it_is_too_low_for(
    url: str, workers: str, max_subscribers: str, warned: bool
) -> None:
    with scarce(url, workers=workers, max_subscribers=max_subscribers) as running:
        pid = running.wait_for("server_started")["pid"]
        limits = Path(f"/proc/{pid}/limits").read_text("ascii")
    assert re.search(rf"^Max open files +{LIMIT} +{LIMIT} ", limits, re.MULTILINE)
    told = [line for line in running.log if line["event"] == "descriptors_scarce"]
    assert len(told) == warned
    for line in told:
        assert (
            line["subscribers"]
            < line["connections"]
            < line["limit"]
            == LIMIT
            < 5_000
            < line["needed"]
        )


def test_the_admin_listener_is_not_used_up_either(url: str) -> None:
    with scarce(url) as running, ExitStack() as stack:
        address = running.admin_url.removeprefix("http://").split(":")
        for _ in range(100):
            stack.enter_context(socket.create_connection((address[0], int(address[1])), timeout=20))
        assert json.loads(get(f"{running.admin_url}/readyz")[2])["status"] == "ready"
        assert get(f"{running.url}/collections/points/items/7")[0] == 200
