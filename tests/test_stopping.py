"""The orderly stop, with real processes: what is under way is finished, what hangs is cut, and all
of it takes the grace.
"""

import asyncio
import gzip
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from geosvc.database.migrations import migrate_up
from geosvc.settings import load_settings
from tests.conftest import execute
from tests.live import publish_now
from tests.processes import Running, serving, unexpected
from tests.test_serving import SLOW, active, eventually, get

POINT = b'{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]},"properties":{"filler":"new"}}'
TABLE = "CREATE TABLE written (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, filler text, geom geometry(Point, 4326));"


@pytest.fixture
def url(bare_database_url: str) -> str:
    """A database with slow and large things to read, and a table to write to."""
    execute(bare_database_url, SLOW + TABLE)
    return bare_database_url


@contextmanager
def connected(running: Running) -> Iterator[socket.socket]:
    """A connection to the service."""
    parts = urlsplit(running.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        yield connection


def answer_of(connection: socket.socket) -> tuple[int, str | None, bytes]:
    """(status, Connection, body) of the next answer."""
    response = HTTPResponse(connection)
    response.begin()
    return response.status, response.getheader("Connection"), response.read()


def count(url: str) -> int:
    """The rows of the table that is written to."""

    async def ask() -> int:
        connection = await asyncpg.connect(url)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM written"))
        finally:
            await connection.close()

    return asyncio.run(ask())


def begin_to_stop(running: Running) -> None:
    """Sends SIGTERM and waits until the service knows of it."""
    running.process.send_signal(signal.SIGTERM)
    running.wait_for("server_stopping")


COLLECTION = b'{"type":"FeatureCollection","features":[' + b",".join([POINT] * 3_000) + b"]}"
LINES = b"".join(b"\x1e" + POINT + b"\n" for _ in range(3_000))


UPLOADS = [
    ("geo+json", "identity", POINT, 1),
    ("geo+json", "identity", COLLECTION, 3_000),
    ("geo+json", "gzip", gzip.compress(COLLECTION, 1), 3_000),
    ("geo+json-seq", "identity", LINES, 3_000),
]


def live(running: Running) -> list[dict[str, Any]]:
    """The requests that the service is handling, that which asks aside."""
    requests = json.loads(get(f"{running.admin_url}/activity?f=json")[2])["requests"]
    return [each for each in requests if (each["route"] or "").startswith("/collections")]


def refused(running: Running) -> bool:
    """Whether nothing listens any more."""
    try:
        with connected(running):
            return False
    except ConnectionRefusedError:
        return True


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_uploads_in_flight_are_stored(url: str, loop: str) -> None:
    with (
        serving(url, "--loop", loop, writable="written", shutdown_grace_seconds="20") as running,
        ExitStack() as stack,
    ):
        connections = [stack.enter_context(connected(running)) for _ in UPLOADS]
        for connection, (media_type, coding, body, _) in zip(connections, UPLOADS, strict=True):
            head = f"POST /collections/written/items HTTP/1.1\r\nHost: x\r\nContent-Type: application/{media_type}\r\n"
            coded = f"Content-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall((head + coded).encode() + body[: len(body) // 2])
        eventually(lambda: len(live(running)) == len(UPLOADS))
        begin_to_stop(running)
        eventually(lambda: refused(running))
        for connection, (_, _, body, _) in zip(connections, UPLOADS, strict=True):
            connection.sendall(body[len(body) // 2 :])
            status, kept, answer = answer_of(connection)
            assert (status, kept) == (201, "close"), answer
        assert running.process.wait(20) == 0
        assert not unexpected(running)
    assert count(url) == sum(rows for _, _, _, rows in UPLOADS)


def test_answers_that_are_being_sent_reach_slow_readers_whole(url: str) -> None:
    paths = [
        "points/export",
        "points/items?limit=9000",
        "points/items?limit=1000",
    ]  # the last in one piece
    with serving(url, shutdown_grace_seconds="20") as running, ExitStack() as stack:
        whole = [get(f"{running.url}/collections/{path}")[2] for path in paths]
        readers = [stack.enter_context(connected(running)) for _ in paths]
        for reader, path in zip(readers, paths, strict=True):
            reader.sendall(f"GET /collections/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert reader.recv(100, socket.MSG_PEEK).startswith(b"HTTP/1.1 200 ")
        begin_to_stop(running)
        eventually(lambda: refused(running))
        for reader, expected in zip(readers, whole, strict=True):
            assert len(json.loads(answer_of(reader)[2])["features"]) == len(
                json.loads(expected)["features"]
            )
        assert running.process.wait(20) == 0
        assert not unexpected(running)


HANGING = {
    "a statement": ("GET", "/collections/slow/items?seconds=60", b""),
    "a reader": ("GET", "/collections/points/export", b""),
    "a reader of one piece": ("GET", "/collections/points/items?limit=1000", b""),
    "an upload": ("POST", "/collections/written/items", POINT[:20]),
    "events": ("GET", "/collections/written/changes", b""),
}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_takes_the_grace_whatever_hangs(url: str, workers: str) -> None:
    migrate_up(load_settings(), url)
    publish_now(url, "written")
    settings = {"writable": "written", "shutdown_grace_seconds": "3"}
    with serving(url, "--workers", workers, **settings) as running, ExitStack() as stack:
        for method, path, body in HANGING.values():
            connection = stack.enter_context(connected(running))
            length = (
                f"Content-Type: application/geo+json\r\nContent-Length: {len(POINT)}\r\n"
                if body
                else ""
            )
            connection.sendall(
                f"{method} {path} HTTP/1.1\r\nHost: x\r\n{length}\r\n".encode() + body
            )
        admin = urlsplit(running.admin_url)
        stack.enter_context(socket.create_connection((admin.hostname, admin.port)))
        eventually(lambda: len(live(running)) >= 3)
        started = time.monotonic()
        assert running.stop() == 0
        assert (
            time.monotonic() - started < 3 + 2
        )  # the machine is loaded; it was twice the grace and more
        assert sum(line["requests"] for line in running.log if line["event"] == "requests_cut") >= 2
        assert not unexpected(running)
    eventually(lambda: active(url) == 0)


def test_idle_connections_are_closed_at_once_and_a_stop_without_requests_takes_no_time(
    url: str,
) -> None:
    with serving(url, shutdown_grace_seconds="60") as running, ExitStack() as stack:
        kept = [stack.enter_context(connected(running)) for _ in range(5)]
        for connection in kept:
            connection.sendall(b"GET /conformance HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer_of(connection)[:2] == (200, None)
        unused = stack.enter_context(connected(running))
        started = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - started < 20
        for connection in (*kept, unused):
            assert connection.recv(1) == b""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_who_has_connected_before_the_stop_is_answered(url: str, loop: str) -> None:
    with serving(url, "--loop", loop) as running, ExitStack() as stack:
        assert get(f"{running.url}/conformance")[0] == 200
        running.process.send_signal(signal.SIGSTOP)
        waiting = [stack.enter_context(connected(running)) for _ in range(40)]
        for connection in waiting[::2]:
            connection.sendall(b"GET /conformance HTTP/1.1\r\nHost: x\r\n\r\n")
        running.process.send_signal(signal.SIGTERM)
        running.process.send_signal(signal.SIGCONT)
        for connection in waiting[::2]:
            assert answer_of(connection)[0] == 200
        assert running.process.wait(30) == 0


def test_a_delay_lets_readyz_fail_before_the_listener_closes(url: str) -> None:
    with (
        serving(url, shutdown_delay_seconds="2", shutdown_grace_seconds="1") as running,
        ExitStack() as stack,
    ):
        kept = stack.enter_context(connected(running))
        kept.sendall(b"GET /conformance HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_of(kept)[:2] == (200, None)
        assert get(f"{running.admin_url}/readyz")[0] == 200
        begin_to_stop(running)
        status, _, body = get(f"{running.admin_url}/readyz")
        assert (status, json.loads(body)["reason"]) == (503, "the service is stopping")
        assert get(f"{running.admin_url}/livez")[0] == 200
        for connection in (kept, stack.enter_context(connected(running))):
            for path in ("/conformance", "/nothing"):
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert answer_of(connection)[1] == "close"
                break
            assert connection.recv(1) == b""
        assert running.process.wait(20) == 0
        assert not unexpected(running)


def test_the_admin_listener_tells_of_the_stop_until_the_last_request_has_ended(url: str) -> None:
    with serving(url, shutdown_grace_seconds="20") as running, ThreadPoolExecutor() as pool:
        answer = pool.submit(get, f"{running.url}/collections/slow/items?seconds=2")
        eventually(lambda: len(live(running)) == 1)
        begin_to_stop(running)
        eventually(lambda: refused(running))
        assert get(f"{running.admin_url}/readyz")[0] == 503
        assert get(f"{running.admin_url}/livez")[0] == 200
        assert answer.result()[0] == 200
        assert running.process.wait(20) == 0


def backends(url: str) -> list[int]:
    """The processes of PostgreSQL that work for the service."""

    async def ask() -> list[int]:
        connection = await asyncpg.connect(url)
        try:
            own = "datname = current_database() AND application_name LIKE 'geosvc%'"
            return [
                each["pid"]
                for each in await connection.fetch(f"SELECT pid FROM pg_stat_activity WHERE {own}")
            ]
        finally:
            await connection.close()

    return asyncio.run(ask())


@pytest.mark.skipif(
    "GEOSVC_TEST_DATABASE_URL" in os.environ, reason="the server may be on another machine"
)
def test_a_database_that_does_not_answer_prolongs_no_stop(url: str) -> None:
    with (
        serving(url, shutdown_grace_seconds="2", pool_min_size="4") as running,
        ExitStack() as stack,
    ):
        connection = stack.enter_context(connected(running))
        connection.sendall(b"GET /collections/slow/items?seconds=60 HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: len(live(running)) == 1)
        for pid in backends(url):
            os.kill(pid, signal.SIGSTOP)
            stack.callback(os.kill, pid, signal.SIGCONT)
        started = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - started < 2 + 3  # it was more than a minute
