"""Nothing that is answered from memory, or with 304, is older than what was committed before it was
asked for.

Writers note a value when its commit has returned; who asks after that must not get an older one.
GEOSVC_STALE_READS sets how many reads there are: 100,000 for the long form.
"""

import asyncio
import json
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession

from tests.live import connected
from tests.processes import serving, unexpected

READS = int(os.environ.get("GEOSVC_STALE_READS", "4000"))
READERS = 12
PLACES = range(1, 10)
ITEMS = "/collections/places/items"


@dataclass
class Truth:
    """What has been committed, by place, and how many places there are."""

    committed: dict[int, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0))
    places: int = len(PLACES)
    version: int = 0
    done: bool = False
    reads: int = 0
    told: Counter[str] = field(default_factory=Counter)


async def change(url: str, truth: Truth, chosen: random.Random) -> None:
    """Sets all places of a transaction to one value at a time; now and then makes a place."""
    async with connected(url) as writer:
        while not truth.done:
            truth.version += 1
            value = truth.version
            places = sorted(chosen.sample(PLACES, chosen.choice((1, 2, 9))))
            async with writer.transaction():
                # what is committed later must not be older: in the order of the locks
                locked = await writer.fetch(
                    "SELECT population FROM places WHERE id = ANY ($1) ORDER BY id FOR UPDATE",
                    places,
                )
                value = max(value, *(row[0] + 1 for row in locked))
                truth.version = max(truth.version, value)
                await writer.execute(
                    "UPDATE places SET population = $1 WHERE id = ANY ($2)", value, places
                )
                made = chosen.random() < 0.05
                if made:
                    await writer.execute(
                        "INSERT INTO places (population, geom) VALUES (0, 'SRID=4326;POINT(50 50)')"
                    )
            truth.places += made
            for place in places:
                truth.committed[place] = max(truth.committed[place], value)
            await asyncio.sleep(chosen.choice((0, 0, 0.001, 0.01, 0.05)))


async def get(
    session: ClientSession, path: str, kept: dict[str, tuple[str, Any]], truth: Truth
) -> Any:
    """The document, perhaps from the client's own memory, as a 304 allows."""
    headers = {"If-None-Match": kept[path][0]} if path in kept else {}
    async with session.get(path, headers=headers) as response:
        truth.told[str(response.status)] += 1
        if response.status == 304:
            assert response.headers["ETag"].removeprefix("W/") == kept[path][0].removeprefix("W/")
            return kept[path][1]
        assert response.status == 200, await response.text()
        document = json.loads(await response.read())
        kept[path] = (response.headers["ETag"], document)
        return document


def check(document: Any, before: dict[int, int], places: int) -> None:
    """Nothing in it is older than what had been committed before it was asked for."""
    if document["type"] == "Feature":
        place, value = document["id"], document["properties"]["population"]
        assert value >= before[place], (place, value, before)
        return
    for feature in document["features"]:
        place, value = feature["id"], feature["properties"]["population"]
        assert value >= before.get(place, 0), (place, value, before)
    assert document["numberMatched"] >= places


async def read(session: ClientSession, truth: Truth, chosen: random.Random) -> None:
    """Asks for pages and features, with what it has and without."""
    kept: dict[str, tuple[str, Any]] = {}
    paths = (
        f"{ITEMS}?limit=9&count=exact",
        f"{ITEMS}?count=exact&limit=9&sortby=-population",
        *(f"{ITEMS}/{n}" for n in (1, 5)),
    )
    while truth.reads < READS:
        truth.reads += 1
        before, places = dict(truth.committed), truth.places
        path = chosen.choice(paths)
        if chosen.random() < 0.3:
            kept.pop(path, None)
        check(await get(session, path, kept, truth), before, places)


def test_no_answer_is_older_than_what_was_committed_before_it_was_asked_for(live_url: str) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    truth = Truth()

    async def run(base: str) -> None:
        async with connected(live_url) as writer:
            await writer.execute("UPDATE places SET population = 0")
        async with ClientSession(base) as session:
            writers = [
                asyncio.create_task(change(live_url, truth, random.Random(seed + n)))
                for n in range(3)
            ]
            try:
                await asyncio.gather(
                    *(read(session, truth, random.Random(seed - n)) for n in range(1, READERS + 1))
                )
            finally:
                truth.done = True
                await asyncio.gather(*writers)
            hits = await metrics(session, running.admin_url)
        # the test is of answers from memory: there were some, and some that were not
        assert hits["hit"] + truth.told["304"] > READS / 20, (hits, truth.told)
        assert truth.told["200"] > READS / 20

    with serving(live_url) as running:
        asyncio.run(run(running.url))
    print(f"{truth.reads} reads, {truth.version} commits, {dict(truth.told)}")
    assert not unexpected(running)


async def metrics(session: ClientSession, admin_url: str) -> Counter[str]:
    """How often the cache had an answer, and had none."""
    found: Counter[str] = Counter()
    async with session.get(f"{admin_url}/metrics") as response:
        for line in (await response.text()).splitlines():
            if line.startswith("geosvc_cache_lookups_total{"):
                outcome = "hit" if 'outcome="hit"' in line else "other"
                found[outcome] += int(float(line.rsplit(" ", 1)[1]))
    return found
