"""The cache of answers: fresh, bounded, and one piece of work for all who ask the same."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosvc.caching.cache_key import CacheKey, cache_key
from geosvc.caching.store import ENTRY_BYTES, Cache
from geosvc.errors import InternalError, NotFound
from geosvc.model.principal import ANONYMOUS, Principal

PUBLICATION = 7
LARGE = 1 << 20


class Log:
    """Versions that move when they are told to; to read them takes a turn of the loop or more."""

    def __init__(self, turns: Callable[[], int] = lambda: 1) -> None:
        self.tokens: dict[int, int] = {}
        self.known: dict[int, int | None] = {}
        self.readable = True
        self.turns = turns
        self.reads = 0

    def version(self, publication: int) -> int:
        return self.tokens.get(publication, 0)

    def move(self, publication: int = PUBLICATION) -> None:
        self.tokens[publication] = self.version(publication) + 1

    async def current(self, publication: int) -> int | None:
        self.reads += 1
        for _ in range(self.turns()):
            await asyncio.sleep(0)
        self.known[publication] = self.version(publication) if self.readable else None
        return self.known[publication]

    def last_known(self, publication: int) -> int | None:
        return self.known.get(publication)


@dataclass
class Work:
    """Work that waits until it is let go."""

    answer: object = b"answer"
    error: Exception | None = None
    begun: int = 0
    cancelled: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> Any:
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return self.answer


def asking(*parts: object, publication: int = PUBLICATION) -> CacheKey:
    return cache_key("page", publication, ANONYMOUS, *parts)


async def ask(
    cache: Cache,
    work: Callable[[], Any],
    key: CacheKey | None = None,
    version: int = 0,
    size: int = 100,
) -> Any:
    return await cache.share(key or asking("a"), version, work, lambda _: size)


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def at_once() -> bytes:
    return b"answer"


async def test_an_answer_is_kept_and_given_again() -> None:
    cache, work = Cache(Log(), LARGE), Work()
    work.go.set()
    assert await ask(cache, work) == b"answer"
    await turns()
    assert await ask(cache, work) == b"answer"
    assert work.begun == 1
    assert cache.lookups == {("page", "miss"): 1, ("page", "hit"): 1}
    assert (len(cache), cache.bytes) == (1, 100 + ENTRY_BYTES)


async def test_an_answer_is_handed_out_before_the_log_is_read_again_and_kept_after() -> None:
    log = Log(lambda: 50)
    cache = Cache(log, LARGE)
    await ask(cache, at_once)
    assert log.reads == 0 or not cache.holds(asking("a"))
    assert cache.find(asking("a"), 0) is None
    await turns(100)
    assert log.reads == 1
    assert cache.find(asking("a"), 0) == b"answer"


async def test_an_answer_that_was_read_before_a_change_is_not_kept_after_it() -> None:
    log, work = Log(), Work()
    cache = Cache(log, LARGE)
    key = asyncio.create_task(ask(cache, work))
    await turns()
    log.move()
    work.go.set()
    assert await key == b"answer"
    await turns()
    assert (len(cache), cache.bytes, cache.refused) == (0, 0, {"moved": 1})


async def test_nothing_is_kept_while_the_log_cannot_be_read() -> None:
    log = Log()
    cache = Cache(log, LARGE)
    log.readable = False
    await ask(cache, at_once)
    await turns()
    assert (len(cache), cache.refused) == (0, {"unreadable": 1})
    cache.put_unconfirmed(asking("b"), cache.versions.last_known(PUBLICATION), b"answer", 10)
    await turns()
    assert (len(cache), cache.refused) == (0, {"unreadable": 2})


async def test_another_version_is_another_answer_and_the_old_one_is_gone() -> None:
    log = Log()
    cache = Cache(log, LARGE)
    for name in "abc":
        await ask(cache, at_once, asking(name))
    await ask(cache, at_once, asking("x", publication=8))
    await turns()
    assert len(cache) == 4
    log.move()
    version = await log.current(PUBLICATION)
    assert version == 1
    assert cache.find(asking("a"), version) is None
    assert (len(cache), cache.moved, cache.bytes) == (1, 3, 100 + ENTRY_BYTES)


async def test_what_is_kept_at_a_new_version_takes_the_place_of_the_old_one() -> None:
    log = Log()
    cache = Cache(log, LARGE)
    await ask(cache, at_once)
    await turns()
    log.move()
    cache.put_unconfirmed(asking("b"), await log.current(PUBLICATION), b"newer", 10)
    await turns()
    assert (len(cache), cache.moved) == (1, 1)
    assert cache.find(asking("a"), 1) is None
    assert cache.find(asking("b"), 1) == b"newer"


async def test_one_who_comes_late_with_an_old_version_drops_nothing() -> None:
    log = Log()
    cache = Cache(log, LARGE)
    log.move()
    await log.current(PUBLICATION)
    await ask(cache, at_once, version=1)
    await turns()
    assert cache.find(asking("a"), 0) is None
    assert cache.find(asking("a"), 1) == b"answer"


async def test_all_who_ask_the_same_share_one_piece_of_work() -> None:
    cache, work = Cache(Log(), LARGE), Work()
    key = [asyncio.create_task(ask(cache, work)) for _ in range(50)]
    await turns()
    work.go.set()
    assert await asyncio.gather(*key) == [b"answer"] * 50
    assert work.begun == 1
    assert cache.lookups == {("page", "miss"): 1, ("page", "shared"): 49}


async def test_those_who_ask_while_the_log_is_read_again_share_what_there_is() -> None:
    cache, work = Cache(Log(lambda: 50), LARGE), Work()
    work.go.set()
    await ask(cache, work)
    assert await ask(cache, work) == b"answer"
    assert work.begun == 1


async def test_other_questions_and_versions_do_not_share() -> None:
    cache, works = Cache(Log(), LARGE), [Work() for _ in range(3)]
    key = [
        asyncio.create_task(ask(cache, works[0])),
        asyncio.create_task(ask(cache, works[1], asking("b"))),
        asyncio.create_task(ask(cache, works[2], version=1)),
    ]
    await turns()
    assert [work.begun for work in works] == [1, 1, 1]
    for work in works:
        work.go.set()
    await asyncio.gather(*key)


async def test_one_who_leaves_does_not_disturb_the_others() -> None:
    cache, work = Cache(Log(), LARGE), Work()
    first, second, third = (asyncio.create_task(ask(cache, work)) for _ in range(3))
    await turns()
    first.cancel()
    third.cancel()
    await turns()
    assert (first.cancelled(), third.cancelled(), work.cancelled) == (True, True, 0)
    work.go.set()
    assert await second == b"answer"
    await turns()
    assert len(cache) == 1


async def test_work_is_cancelled_when_the_last_has_left_and_begun_anew_by_the_next() -> None:
    cache, work = Cache(Log(), LARGE), Work()
    key = [asyncio.create_task(ask(cache, work)) for _ in range(2)]
    await turns()
    for each in key:
        each.cancel()
    await asyncio.wait(key)
    following = asyncio.create_task(ask(cache, work))  # before the cancelled work has ended
    await turns()
    assert (work.begun, work.cancelled) == (2, 1)
    work.go.set()
    assert await following == b"answer"


async def test_an_error_goes_to_all_who_wait_and_is_not_kept() -> None:
    cache, work = Cache(Log(), LARGE), Work(error=NotFound("gone"))
    key = [asyncio.create_task(ask(cache, work)) for _ in range(3)]
    await turns()
    work.go.set()
    for each in key:
        with pytest.raises(NotFound):
            await each
    work.error = None
    assert await ask(cache, work) == b"answer"
    assert work.begun == 2


async def test_closing_ends_work_and_nobody_waits_for_ever() -> None:
    cache, work = Cache(Log(), LARGE), Work()
    key = asyncio.create_task(ask(cache, work))
    await turns()
    await cache.close()
    with pytest.raises(InternalError):
        await key
    assert (work.cancelled, len(cache), cache.bytes) == (1, 0, 0)


async def test_closing_while_the_log_is_read_again_forgets() -> None:
    cache = Cache(Log(lambda: 1_000_000), LARGE)
    await ask(cache, at_once)
    await turns()
    await cache.close()
    assert (len(cache), cache.bytes) == (0, 0)


async def test_without_bytes_nothing_is_kept_or_shared() -> None:
    log, work = Log(), Work()
    cache = Cache(log, 0)
    work.go.set()
    assert [await ask(cache, work), await ask(cache, work)] == [b"answer"] * 2
    cache.put_unconfirmed(asking("b"), 0, b"answer", 10)
    await turns()
    assert (work.begun, len(cache), log.reads) == (2, 0, 0)


async def test_an_answer_that_is_too_large_or_not_to_be_kept_is_handed_out_all_the_same() -> None:
    cache = Cache(Log(), ENTRY_BYTES + 100)
    assert await ask(cache, at_once, size=101) == b"answer"
    assert await cache.share(asking("b"), 0, at_once, lambda _: None) == b"answer"
    await turns()
    assert (len(cache), cache.refused) == (0, {"large": 1})
    await ask(cache, at_once, size=100)
    await turns()
    assert len(cache) == 1


async def test_the_least_recently_used_goes_first_whatever_table_it_is_about() -> None:
    cache = Cache(Log(), 3 * (ENTRY_BYTES + 100))
    questions = [asking("a"), asking("b", publication=8), asking("c")]
    for each in questions:
        await ask(cache, at_once, each)
        await turns()
    assert cache.find(questions[0], 0)
    await ask(cache, at_once, asking("d", publication=9))
    await turns()
    assert [cache.holds(each) for each in questions] == [True, False, True]
    assert (cache.evicted, len(cache)) == (1, 3)


async def test_what_grows_is_counted_and_makes_room_for_itself() -> None:
    cache = Cache(Log(), 2 * (ENTRY_BYTES + 100))
    values = {name: name.encode() for name in "ab"}
    for name, value in values.items():
        cache.put_unconfirmed(asking(name), 0, value, 100)
        await turns()
    cache.resize(asking("b"), values["b"], 50)
    assert (cache.holds(asking("a")), cache.holds(asking("b"))) == (False, True)
    assert cache.bytes == ENTRY_BYTES + 150
    cache.resize(asking("b"), b"another", 50)
    cache.resize(asking("a"), values["a"], 50)
    assert cache.bytes == ENTRY_BYTES + 150
    cache.resize(asking("b"), values["b"], 10_000)
    assert (len(cache), cache.bytes) == (0, 0)


async def test_what_grows_before_it_is_kept_is_counted() -> None:
    cache = Cache(Log(), LARGE)
    answer = await ask(cache, at_once, size=100)
    cache.resize(asking("a"), answer, 50)  # compressed at once, for the one who asked
    await turns()
    assert (cache.holds(asking("a")), cache.bytes) == (True, ENTRY_BYTES + 150)


async def test_what_grows_too_large_before_it_is_kept_is_not_kept() -> None:
    cache = Cache(Log(), ENTRY_BYTES + 100)
    answer = await ask(cache, at_once, size=100)
    cache.resize(asking("a"), answer, 50)
    await turns()
    assert (len(cache), cache.bytes) == (0, 0)


async def test_what_was_made_elsewhere_is_kept_like_the_rest() -> None:
    log = Log()
    cache = Cache(log, LARGE)
    await log.current(PUBLICATION)
    cache.put_unconfirmed(asking("a"), cache.versions.last_known(PUBLICATION), b"answer", 10)
    cache.put_unconfirmed(asking("a"), cache.versions.last_known(PUBLICATION), b"answer", 10)
    await turns()
    assert cache.find(asking("a"), 0) == b"answer"
    before = cache.versions.last_known(PUBLICATION)
    log.move()  # since it was last read
    cache.put_unconfirmed(asking("b"), before, b"outdated", 10)
    await turns()
    assert not cache.holds(asking("b"))


async def test_the_age_of_answers_is_counted_when_they_are_used() -> None:
    now = 100.0
    cache = Cache(Log(), LARGE, lambda: now)
    await ask(cache, at_once)
    await turns()
    now = 107.0
    cache.find(asking("a"), 0)
    assert cache.hit_age_seconds == 7.0


def test_questions_differ_by_every_part() -> None:
    different = {
        cache_key("page", 1, ANONYMOUS, "a", "b"),
        cache_key("page", 1, ANONYMOUS, "ab"),
        cache_key("page", 1, ANONYMOUS, "a', 'b"),
        cache_key("count", 1, ANONYMOUS, "a", "b"),
        cache_key("page", 2, ANONYMOUS, "a", "b"),
        cache_key("page", 1, Principal("other"), "a", "b"),
        cache_key("page", 1, ANONYMOUS, "a", "b\udc80"),
    }
    assert len(different) == 7
    assert cache_key("page", 1, ANONYMOUS, "a", "b") in different


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_whatever_happens_in_whatever_order_answers_are_fresh_and_within_bounds(
    seed: int, places: int
) -> None:
    with asyncio.Runner() as runner:
        runner.run(_live_through(Random(seed), places * (ENTRY_BYTES + 60)))


async def _live_through(chance: Random, max_bytes: int) -> None:
    """Askers, writers, cancellations and failures in an order of their own; two tables, four
    questions about each.
    """
    log = Log(lambda: chance.randrange(4))
    cache = Cache(log, max_bytes)
    tasks: list[asyncio.Task[None]] = []
    for _ in range(120):
        step = chance.random()
        if step < 0.5:
            tasks.append(asyncio.create_task(_ask_anything(cache, log, chance)))
        elif step < 0.62:
            log.move(chance.choice((1, 2)))
        elif step < 0.72 and tasks:
            chance.choice(tasks).cancel()
        elif step < 0.76:
            log.readable = not log.readable
        else:
            await asyncio.sleep(0)
        _check(cache)
    log.readable = True
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        assert ended is None or isinstance(ended, NotFound | asyncio.CancelledError), ended
    await turns(60)
    _check(cache)
    assert not cache._flights
    assert not cache._unconfirmed
    assert not cache._to_confirm
    assert not cache._tasks


async def _ask_anything(cache: Cache, log: Log, chance: Random) -> None:
    publication = chance.choice((1, 2))
    key = asking(chance.randrange(4), publication=publication)
    before = log.version(publication)

    async def work() -> tuple[int, int]:
        await turns(chance.randrange(4))
        read = (publication, log.version(publication))
        await turns(chance.randrange(4))
        if chance.random() < 0.1:
            raise NotFound("failed")
        return read

    if chance.random() < 0.2:
        known = cache.versions.last_known(publication)
        cache.put_unconfirmed(key, known, await work(), chance.randrange(50))
        return
    version = await log.current(publication)
    if version is None:
        return
    value = await cache.share(key, version, work, lambda _: chance.randrange(60))
    assert value[0] == publication
    assert value[1] >= version >= before
    if chance.random() < 0.3:
        cache.resize(key, value, chance.randrange(40))


def _check(cache: Cache) -> None:
    assert 0 <= cache.bytes <= cache.max_bytes
    assert cache.bytes == sum(table.bytes for table in cache._tables.values())
    for publication, table in cache._tables.items():
        assert table.entries
        assert table.bytes == sum(entry.bytes for entry in table.entries.values())
        uses = [entry.used for entry in table.entries.values()]
        assert uses == sorted(uses)
        for entry in table.entries.values():
            assert entry.value == (publication, table.version)
