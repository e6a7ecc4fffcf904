"""Clients that read slowly, and many of them, with real processes and sockets whose windows are
small: what they hold is bounded, who reads steadily gets everything, and who does not is cut
off.
"""

import json
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from geosvc.database.migrations import migrate_up
from geosvc.settings import load_settings
from tests.conftest import execute
from tests.live import publish_now
from tests.processes import Running, serving
from tests.test_serving import active, eventually, get

# pages of 7 MB that the catalog takes for small ones, since PostgreSQL compresses them; an export
# of 28 MB
TABLES = """
CREATE TABLE heavy AS SELECT i AS id, repeat('x', 500000) AS filler,
  ST_SetSRID(ST_Point(i, 1), 4326)::geometry(Point, 4326) AS geom
FROM generate_series(1, 14) i;
CREATE TABLE points AS SELECT i AS id, repeat('x', 500) AS filler,
  ST_SetSRID(ST_Point(i / 10000.0, 1), 4326)::geometry(Point, 4326) AS geom
FROM generate_series(1, 40000) i;
ALTER TABLE heavy ADD PRIMARY KEY (id);
ALTER TABLE points ADD PRIMARY KEY (id);
ANALYZE;
"""
PAGE = "/collections/heavy/items?limit=14"
EXPORT = "/collections/points/export"
MB = 1_000_000
STALLING = 60
BUDGET = 32 << 20


@pytest.fixture
def url(bare_database_url: str) -> str:
    execute(bare_database_url, TABLES)
    return bare_database_url


def resident(running: Running) -> int:
    """Memory of the process, bytes."""
    pages = int(Path(f"/proc/{running.process.pid}/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


class Asked:
    """A request whose answer is read by the test, through a small window."""

    def __init__(
        self, running: Running, path: str, address: str | None = None, times: int = 1
    ) -> None:
        parts = urlsplit(running.url)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(30)
        if address is not None:
            self.socket.bind((address, 0))
        self.socket.connect((parts.hostname, parts.port))
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * times)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def head(self) -> tuple[int, bytes]:
        """Status and header section, and what came of the body."""
        got = b""
        while b"\r\n\r\n" not in got and (piece := self.socket.recv(1024)):
            got += piece
        return int(got.split(b" ", 2)[1]), got

    def read(self, bytes_a_second: int, seconds: float) -> bytes:
        """What comes while it is read steadily."""
        started, got = time.monotonic(), b""
        while (passed := time.monotonic() - started) < seconds:
            wanted = int(bytes_a_second * passed) - len(got)
            if wanted <= 0:
                time.sleep(0.01)
                continue
            piece = self.socket.recv(min(wanted, 4096))
            if not piece:
                break
            got += piece
        return got

    def rest(self) -> bytes:
        """All that is left, as fast as it comes, until the connection or the chunked body ends."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        got = bytearray()
        while not got.endswith(b"0\r\n\r\n") and (piece := self.socket.recv(1 << 18)):
            got += piece
        return bytes(got)


def highest_while(running: Running, ended: Callable[[], bool], seconds: float = 60) -> int:
    """The most memory that the process has until something is true."""
    highest = resident(running)
    started = time.monotonic()
    while not ended():
        assert time.monotonic() - started < seconds, Counter(
            str(line.get("event")) for line in running.log
        )
        highest = max(highest, resident(running))
        time.sleep(0.02)
    return highest


def told(running: Running, event: str) -> list[dict[str, object]]:
    """The lines of the log with this event."""
    return [line for line in running.log if line.get("event") == event]


# of 13 features the page does not tell how many there are: they are counted while it is held
@pytest.mark.parametrize("limit", [14, 13])
def test_what_clients_do_not_take_is_bounded_and_given_back(url: str, limit: int) -> None:
    settings = {
        "write_stall_seconds": "2",
        "max_held_bytes": str(BUDGET),
        "pool_acquire_seconds": "30",
    }
    with serving(url, **settings) as running, ExitStack() as stack:
        assert get(f"{running.url}{PAGE}")[0] == 200
        before = resident(running)
        for _ in range(STALLING):
            stack.enter_context(Asked(running, f"/collections/heavy/items?limit={limit}"))

        def all_ended() -> bool:
            return (
                len(told(running, "request_failed")) + len(told(running, "stream_aborted"))
                >= STALLING
            )

        # 60 pages are 420 MB; the database is asked for ten at a time
        assert highest_while(running, all_ended) - before < BUDGET + 140 * MB
        refused = told(running, "request_failed")
        assert {line["slug"] for line in refused} == {"memory-exhausted"}
        assert told(running, "stream_aborted")
        eventually(lambda: resident(running) - before < 120 * MB)
        status, _, body = get(f"{running.url}{PAGE}")
        assert (status, json.loads(body)["numberReturned"]) == (200, 14)


def test_an_answer_from_memory_is_held_once_for_everybody(url: str) -> None:
    migrate_up(load_settings(database_url=url), url)
    publish_now(url, "heavy")
    with serving(url, max_held_bytes=str(BUDGET)) as running, ExitStack() as stack:
        assert get(f"{running.url}{PAGE}")[0] == 200
        before = resident(running)
        asked = [stack.enter_context(Asked(running, PAGE)) for _ in range(STALLING)]
        assert Counter(each.head()[0] for each in asked) == {200: STALLING}
        assert resident(running) - before < 60 * MB


def test_the_slowest_make_room_for_others(url: str) -> None:
    settings = {"write_stall_seconds": "60", "max_held_bytes": str(20 << 20)}
    with serving(url, **settings) as running, ExitStack() as stack:
        stuck = [stack.enter_context(Asked(running, PAGE)) for _ in range(2)]
        assert [each.head()[0] for each in stuck] == [200, 200]
        eventually(lambda: get(f"{running.url}{PAGE}")[0] == 200)
        assert "memory was needed" in str(running.wait_for("stream_aborted")["reason"])


def test_whoever_takes_nothing_of_small_answers_is_cut_off(url: str) -> None:
    with (
        serving(url, write_stall_seconds="1") as running,
        Asked(running, "/collections/points/items?limit=80", times=200),
    ):
        assert "nothing" in str(running.wait_for("stream_aborted")["reason"])


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_steady_slow_reader_gets_its_whole_export(url: str, loop: str) -> None:
    with (
        serving(url, "--loop", loop, write_stall_seconds="1") as running,
        Asked(running, EXPORT) as reader,
    ):
        got = reader.read(20_000, seconds=5)
        assert len(got) > 80_000
        got += reader.rest()
        assert got.endswith(b"0\r\n\r\n")
        assert got.count(b'"type":"Feature"') > 39_000  # some are cut by chunks
        assert not told(running, "stream_aborted")


@pytest.mark.parametrize("path", [EXPORT, PAGE])
def test_a_reader_below_the_least_rate_is_cut_off(url: str, path: str) -> None:
    with (
        serving(url, write_stall_seconds="2", min_rate_bytes="20000") as running,
        Asked(running, path) as reader,
    ):
        with pytest.raises(ConnectionResetError):
            reader.read(4_000, seconds=30)
        aborted = running.wait_for("stream_aborted")
        assert "less than 20000 bytes a second" in str(aborted["reason"])
        assert aborted["collection"] in path
        eventually(lambda: active(url) == 0)


def test_one_client_leaves_places_of_streams_to_others(url: str) -> None:
    # four for streams, two for each client
    settings = {"pool_max_size": "7", "pool_acquire_seconds": "0.5", "collection_pool_share": "1"}
    with serving(url, **settings) as running:
        with ExitStack() as stack:
            assert [stack.enter_context(Asked(running, EXPORT)).head()[0] for _ in range(2)] == [
                200,
                200,
            ]
            status, head = stack.enter_context(Asked(running, EXPORT)).head()
            assert status == 503
            assert b"Retry-After: 5" in head
            assert running.wait_for("request_failed")["slug"] == "too-many-streams"
            other = "127.0.0.2"
            assert stack.enter_context(Asked(running, EXPORT, other)).head()[0] == 200
            assert (
                stack.enter_context(Asked(running, EXPORT, other)).head()[0] == 503
            )  # the last is for who has none
            assert stack.enter_context(Asked(running, EXPORT, "127.0.0.3")).head()[0] == 200
        eventually(lambda: active(url) == 0)


def test_slow_readers_of_many_addresses_leave_their_collection_to_small_answers(url: str) -> None:
    settings = {
        "pool_max_size": "10",
        "pool_acquire_seconds": "0.5",
    }  # five for a collection, three of them for its streams
    with serving(url, **settings) as running, ExitStack() as stack:
        addresses = [f"127.0.1.{number}" for number in range(1, 6)]
        statuses = [
            stack.enter_context(Asked(running, EXPORT, address)).head()[0] for address in addresses
        ]
        assert statuses == [200, 200, 200, 503, 503]
        assert running.wait_for("request_failed")["slug"] == "too-many-streams"
        for number in range(20):
            assert get(f"{running.url}/collections/points/items?limit={number + 1}")[0] == 200
        assert (
            stack.enter_context(Asked(running, "/collections/heavy/export", "127.0.1.1")).head()[0]
            == 200
        )  # another's share


def test_a_quiet_stream_of_events_is_not_cut_off(url: str) -> None:
    migrate_up(load_settings(database_url=url), url)
    publish_now(url, "heavy")
    settings = {
        "write_stall_seconds": "0.5",
        "feed_heartbeat_seconds": "0.4",
        "min_rate_bytes": "1000000",
    }
    with (
        serving(url, **settings) as running,
        Asked(running, "/collections/heavy/changes") as subscriber,
    ):
        got = b""
        while got.count(b"\r\n:") < 6:
            piece = subscriber.socket.recv(1024)
            assert piece, got
            got += piece
        assert not told(running, "stream_aborted")
