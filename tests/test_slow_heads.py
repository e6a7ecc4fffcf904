"""Clients that connect and say nothing, or send a request line and headers a byte now and then,
with real processes: they are let go after GEOSVC_READ_STALL_SECONDS, and nobody else is.
"""

import json
import re
import select
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.conftest import execute
from tests.processes import Running, serving, unexpected
from tests.test_serving import SLOW
from tests.test_stopping import answer_of

LIMIT = 1.0
LATE = 2.0  # how much later than the limit is still in time, on a machine that is busy
SETTINGS = {"read_stall_seconds": str(LIMIT)}
ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
LISTENERS = {"url": b"/conformance", "admin_url": b"/livez"}


@pytest.fixture(scope="module")
def running(sample_url: str) -> Iterator[Running]:
    """A service with little patience."""
    with serving(sample_url, **SETTINGS) as service:
        yield service
        assert not unexpected(service)


@pytest.fixture(params=LISTENERS)
def listener(request: pytest.FixtureRequest, running: Running) -> tuple[str, bytes]:
    """Where to connect, and a whole head for it."""
    whole = (
        b"GET %b HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n"
        % LISTENERS[request.param]
    )
    return getattr(running, request.param), whole


def connect(url: str) -> socket.socket:
    """A connection."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def trickle(connection: socket.socket, sent: bytes, seconds_between: float) -> None:
    """Sends one byte after the other, until something comes back."""
    for number in range(len(sent)):
        connection.sendall(sent[number : number + 1])
        if select.select([connection], [], [], seconds_between)[0]:
            return


def statuses(connection: socket.socket, seconds: float = LIMIT + LATE) -> tuple[list[int], bool]:
    """Of all answers until nothing comes for so long, and whether the connection was closed."""
    got = b""
    while select.select([connection], [], [], seconds)[0]:
        piece = connection.recv(1 << 16)
        if not piece:
            return [int(each) for each in ANSWER.findall(got)], True
        got += piece
    return [int(each) for each in ANSWER.findall(got)], False


def in_time(since: float) -> bool:
    """Whether the limit has passed, and not for long."""
    return LIMIT * 0.9 < time.monotonic() - since < LIMIT + LATE


@pytest.mark.parametrize("requests", [0, 2])
def test_a_head_that_trickles_is_given_up(listener: tuple[str, bytes], requests: int) -> None:
    url, whole = listener
    with connect(url) as connection:
        for _ in range(requests):
            connection.sendall(whole)
            assert answer_of(connection)[0] == 200
        since = time.monotonic()
        trickle(connection, whole, 0.1)  # all of it would take seven seconds
        assert in_time(since)
        status, _, body = answer_of(connection)
        assert (status, json.loads(body)["type"]) == (408, "urn:geosvc:problem:request-timeout")
        assert connection.recv(1) == b""


@pytest.mark.parametrize("length", [1, -1])
@pytest.mark.parametrize("before", [0, 3])
def test_half_a_head_is_given_up_also_behind_whole_ones(
    listener: tuple[str, bytes], length: int, before: int
) -> None:
    url, whole = listener
    with connect(url) as connection:
        since = time.monotonic()
        connection.sendall(whole * before + whole[:length])
        assert statuses(connection) == ([200] * before + [408], True)
        assert in_time(since)


def test_a_connection_on_which_nothing_is_said_is_closed(listener: tuple[str, bytes]) -> None:
    since = time.monotonic()
    with connect(listener[0]) as connection:
        assert statuses(connection) == ([], True)
        assert in_time(since)


def test_a_slow_head_within_the_limit_and_idle_connections_are_served(
    listener: tuple[str, bytes],
) -> None:
    url, whole = listener
    with connect(url) as connection:
        for _ in range(2):
            trickle(connection, whole, LIMIT / 3 / len(whole))
            assert statuses(connection, LIMIT * 1.5) == (
                [200],
                False,
            )  # idle, for longer than a head may take
        connection.sendall(b"\r\n")  # as some clients send behind a body
        assert statuses(connection, LIMIT * 1.5) == ([], False)
        connection.sendall(whole * 40)  # more than aiohttp takes at once
        assert statuses(connection, LIMIT * 1.5) == ([200] * 40, False)


def test_bodies_and_slow_answers_are_no_heads(bare_database_url: str) -> None:
    execute(bare_database_url, SLOW)
    head = (
        b"POST /collections/points/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    )
    body = b'{"geometry":{"type":"Point","coordinates":[0,1]},"predicate":"nearest","k":1}'
    settings = SETTINGS | {"min_rate_bytes": "0"}
    with (
        serving(bare_database_url, **settings) as running,
        connect(running.url) as searching,
        connect(running.url) as waiting,
    ):
        waiting.sendall(
            b"GET /collections/slow/items?seconds=2 HTTP/1.1\r\nHost: x\r\n\r\nGET / HT"
        )
        for pause in (0, LIMIT / 40):  # in all longer than a head may take
            searching.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
            trickle(searching, body, pause)
            assert statuses(searching, LIMIT * 1.5) == ([200], False)
        assert statuses(waiting) == ([200, 408], True)
        assert not unexpected(running)
