"""Bodies and queries that cost more than they look, one after another, at a service in a process of
its own.

The event loop goes on, the others are answered, and memory stays within bounds.
"""

import asyncio
import http.client
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import pytest

from geosvc.database.changefeed.publishing import publish
from geosvc.database.migrations import migrate_up
from geosvc.errors import TooCostly, Unavailable
from geosvc.offload.children import ChildFailed, ChildLimits, Children
from geosvc.offload.fair_semaphore import FairSemaphore
from geosvc.settings import Settings
from tests.bombs import (
    MEBI,
    TABLE,
    Bomb,
    feature,
    filled,
    geometry,
    line,
    packed,
    queries,
    searches,
    slivers,
    writes,
)
from tests.conftest import execute, settings_for
from tests.holding import holds_of, longest_hold
from tests.processes import Running, children_of, serving, unexpected

HELD_SECONDS = 0.1
OWN_BYTES = (
    600 * MEBI
)  # of the service: a body of 32 MiB is there as what arrived, joined, and on its way to the child
CHILD_BYTES = 400 * MEBI
PATIENCE_SECONDS = 60
IDLE_REQUESTS = 50


def _get(url: str, path: str) -> str | None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=PATIENCE_SECONDS
    )
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode()
        return text if response.status == 200 else None
    finally:
        connection.close()


@dataclass
class Other:
    """Another client, which asks all the time."""

    url: str
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def ask(self) -> None:
        """Asks until it is over."""
        while not self.over.is_set():
            if _get(self.url, "/?f=json") is None:
                self.failed.append("/")
            with self.changed:
                self.answered += 1
                self.changed.notify_all()

    def wait_for(self, number: int) -> None:
        """Waits until it was answered so often."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.answered >= number, PATIENCE_SECONDS)


@contextmanager
def another(url: str) -> Iterator[Other]:
    """Another client beside what the block does."""
    other = Other(url)
    thread = threading.Thread(target=other.ask)
    thread.start()
    try:
        yield other
    finally:
        other.over.set()
        thread.join(PATIENCE_SECONDS)


def answer(
    running: Running, bomb: Bomb, more: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, str]:
    """Sends a bomb, and returns the status and the text of the answer; 413 where the connection
    breaks while it is sent.
    """
    parts = urlsplit(running.url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=PATIENCE_SECONDS
    )
    headers = {"Content-Type": bomb.content_type, **more} | (
        {"Content-Encoding": bomb.coding} if bomb.coding else {}
    )
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
            connection.request(
                bomb.method, f"/collections/areas/{bomb.path}", bomb.body or None, headers
            )
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (ConnectionResetError, http.client.RemoteDisconnected):
        return 413, ""
    finally:
        connection.close()


def drop(running: Running, bomb: Bomb) -> int:
    """Sends a bomb, and returns the status of the answer."""
    return answer(running, bomb)[0]


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)


@pytest.mark.parametrize("bombs", [searches, queries, writes])
def test_no_bomb_holds_the_loop(
    bare_database_url: str, bombs: Callable[[], Iterable[Bomb]]
) -> None:
    execute(bare_database_url, TABLE)
    with serving(bare_database_url, writable="*", check_seconds="2") as running:
        pid = running.process.pid
        with another(running.url) as other:
            other.wait_for(IDLE_REQUESTS)
            bound = max(HELD_SECONDS, 2 * longest_hold(holds_of(running.admin_url)))
            for bomb in bombs():
                status = drop(running, bomb)
                assert 200 <= status < 500, (bomb.name, status, unexpected(running))
                held = longest_hold(holds_of(running.admin_url))
                assert held <= bound, f"{bomb.name} held the loop for up to {held} seconds"
            assert peak_bytes(pid) <= OWN_BYTES
            assert all(peak_bytes(child) <= CHILD_BYTES for child in children_of(pid))
        assert not other.failed
        assert not unexpected(running)
        running.stop()


def test_no_filter_of_a_subscriber_holds_the_loop_when_it_comes_or_at_a_change(
    bare_database_url: str,
) -> None:
    execute(bare_database_url, TABLE)
    migrate_up(Settings(), bare_database_url)
    asyncio.run(publish(settings_for(bare_database_url), bare_database_url, "areas"))
    filters = [each for each in queries() if each.path.startswith("items?filter=")]
    with serving(bare_database_url) as running, ExitStack() as streams:
        with another(running.url) as other:
            other.wait_for(IDLE_REQUESTS)
            bound = max(HELD_SECONDS, 2 * longest_hold(holds_of(running.admin_url)))
            for bomb in filters:
                path = bomb.path.replace("items", "changes", 1)
                response = streams.enter_context(_opened(running, f"/collections/areas/{path}"))
                assert response.status in (200, 400), (bomb.name, response.status)
                held = longest_hold(holds_of(running.admin_url))
                assert held <= bound, f"{bomb.name} held the loop for up to {held} seconds"
            for _ in range(5):
                execute(bare_database_url, "UPDATE areas SET number = number + 1")
                other.wait_for(other.answered + IDLE_REQUESTS)
            held = longest_hold(holds_of(running.admin_url))
            assert held <= bound, f"the changes held the loop for up to {held} seconds"
        assert not other.failed
        assert not unexpected(running)


@contextmanager
def _opened(running: Running, path: str) -> Iterator[http.client.HTTPResponse]:
    """A stream of events that has begun."""
    parts = urlsplit(running.url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=PATIENCE_SECONDS
    )
    try:
        connection.request("GET", path)
        yield connection.getresponse()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("preference", "status", "told"),
    [("strict", 422, "/features/0"), ("lenient", 413, "more than 10000")],
)
def test_of_millions_of_bad_features_no_more_are_explained_than_are_told(
    bare_database_url: str, preference: str, status: int, told: str
) -> None:
    execute(bare_database_url, TABLE)
    body = packed(
        filled(b'{"type":"FeatureCollection","features":[', b"{},", b"{}]}", 30 * MEBI), "gzip"
    )
    bomb = Bomb("empty features", "POST", "items", body, coding="gzip")
    with serving(bare_database_url, writable="*") as running:
        assert (
            drop(
                running,
                Bomb("usual", "POST", "items", feature(geometry("LineString", line(10_000)))),
            )
            == 201
        )
        before = peak_bytes(running.process.pid)
        found, text = answer(running, bomb, {"Prefer": f"handling={preference}"})
        assert found == status, text
        assert told in text
        assert peak_bytes(running.process.pid) - before < 150 * MEBI


def test_a_body_that_takes_too_much_is_refused_alone(bare_database_url: str) -> None:
    execute(bare_database_url, TABLE)
    slow = Bomb("slivers", "POST", "items", feature(geometry("MultiPolygon", slivers(8_000))))
    large = Bomb("a line", "POST", "items", feature(geometry("LineString", line(1_000_000))))
    usual = Bomb("usual", "POST", "items", feature(geometry("LineString", line(10_000))))
    with serving(
        bare_database_url, writable="*", check_seconds="1", check_memory_bytes=str(64 * MEBI)
    ) as running:
        for bomb, status, reason in (
            (slow, 422, "1 seconds"),
            (large, 422, "64 MiB"),
            (usual, 201, ""),
        ):
            found, body = answer(running, bomb)
            assert found == status, (bomb.name, found, body)
            assert reason in body
        assert drop(running, usual) == 201
        children = children_of(running.process.pid)
        assert children
        running.process.kill()  # and they end with it
        running.process.wait(PATIENCE_SECONDS)
        assert all(is_gone(child) for child in children)


def is_gone(pid: int) -> bool:
    """Whether a process ends within the patience."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] == "Z":
                return True
        except OSError:
            return True
        threading.Event().wait(0.02)
    return False


async def test_a_crash_ends_one_task_only() -> None:
    children = Children(1, ChildLimits(60, 1 << 30))
    try:
        with pytest.raises(TooCostly):
            await children.run(os.abort)
        assert await children.run(len, b"abc") == 3
        with pytest.raises(ChildFailed, match="TypeError"):
            await children.run(len, 3)
        assert await children.run(len, b"abcd") == 4
    finally:
        children.close()


async def test_who_leaves_leaves_the_child_to_the_next() -> None:
    children = Children(1, ChildLimits(60, 1 << 30))
    try:
        first = asyncio.create_task(children.run(sorted, list(range(1_000_000, 0, -1))))
        await asyncio.sleep(0)
        first.cancel()
        assert await children.run(len, b"abc") == 3
        assert first.cancelled()
    finally:
        children.close()


async def test_beyond_the_places_and_those_who_wait_the_answer_is_503() -> None:
    turns = FairSemaphore(1, 1, 60)
    await turns.enter()
    second = asyncio.create_task(turns.enter())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await turns.enter()
    assert refused.value.retry_after_seconds
    turns.leave()
    await second


async def test_who_comes_first_has_the_first_turn() -> None:
    turns, order = FairSemaphore(1, 10, None), []

    async def work(number: int) -> None:
        await turns.enter()
        order.append(number)
        await asyncio.sleep(0)
        turns.leave()

    await asyncio.gather(*map(work, range(10)))
    assert order == list(range(10))


def test_who_waits_no_longer_leaves_the_queue() -> None:
    async def run() -> None:
        turns = FairSemaphore(1, 1, 0.01)
        await turns.enter()
        with pytest.raises(Unavailable):
            await turns.enter()
        turns.leave()
        await turns.enter()

    asyncio.run(run())
