"""Reads that are in the way of something else: the replay of a standby, each other's locks, changes
of their table.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from geosvc.events import CatalogLoaded, ReadRetried
from tests.conftest import Client, Service, execute
from tests.observing import seen
from tests.standby import Pair, making_pair

TABLE = """
CREATE EXTENSION IF NOT EXISTS postgis;
CREATE TABLE t (id int PRIMARY KEY, n int, geom geometry(Point, 4326));
INSERT INTO t SELECT i, 0, ST_SetSRID(ST_Point(i, 1), 4326) FROM generate_series(1, 9) i;
"""
KEYED = {"key": ["id"]}


@pytest.fixture(scope="module")
def pair(cluster_folder: Path) -> Iterator[Pair]:
    with making_pair(
        cluster_folder / "conflicts", max_standby_streaming_delay="10ms", hot_standby_feedback="off"
    ) as pair:
        execute(
            pair.url(),
            f"{TABLE} CREATE VIEW slow AS SELECT t.*, pg_sleep(0.03)::text AS nothing FROM t",
        )
        yield pair


async def ask(client: Client, path: str) -> int:
    """The status; what is refused says when to come again."""
    async with client.get(path) as response:
        body = await response.read()
        if response.status == 503:
            assert int(response.headers["Retry-After"]) > 0
            assert json.loads(body)["type"] in (
                "urn:geosvc:problem:database-unavailable",
                "urn:geosvc:problem:unavailable",
            )
        return response.status


async def keep_asking(client: Client, path: str, statuses: "Counter[int]") -> None:
    while True:
        statuses[await ask(client, path)] += 1


async def test_the_replay_of_a_standby_ends_reads_that_are_tried_again(
    service: Service, pair: Pair
) -> None:
    client = await service(pair.standby_url(), collections={"slow": KEYED})
    async with asyncio.timeout(30):
        while await ask(client, "/collections/slow/items") != 200:  # it has not arrived there yet
            await asyncio.sleep(0.05)
    statuses: Counter[int] = Counter()
    with seen(ReadRetried) as retried:
        asking = [
            asyncio.ensure_future(keep_asking(client, "/collections/slow/items", statuses))
            for _ in range(3)
        ]
        writer = await asyncpg.connect(pair.url())
        try:
            async with asyncio.timeout(30):
                while len(retried) < 5 or statuses[200] < 5:
                    await writer.execute("UPDATE t SET n = n + 1")
                    await writer.execute("VACUUM t")
        finally:
            await writer.close()
            for each in asking:
                each.cancel()
    assert set(statuses) <= {200, 503}


async def test_reads_that_wait_for_each_other_are_tried_again(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        TABLE
        + """CREATE FUNCTION hold(one int, other int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_advisory_xact_lock(one); PERFORM pg_sleep(0.2); PERFORM pg_advisory_xact_lock(other); RETURN 1; END $$;
        CREATE VIEW ahead AS SELECT t.id, hold(1, 2) AS n, geom FROM t WHERE id = 1;
        CREATE VIEW behind AS SELECT t.id, hold(2, 1) AS n, geom FROM t WHERE id = 1""",
    )
    client = await service(bare_database_url, collections={"ahead": KEYED, "behind": KEYED})
    statuses: Counter[int] = Counter()
    with seen(ReadRetried) as retried:
        async with asyncio.timeout(60):
            while not retried:
                paths = [f"/collections/{name}/items?count=none" for name in ("ahead", "behind")]
                statuses.update(await asyncio.gather(*(ask(client, path) for path in paths)))
    assert set(statuses) <= {200, 503}
    assert statuses[200]


async def test_a_table_that_is_altered_all_the_time_is_a_503_at_the_worst(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(execute, bare_database_url, TABLE)
    client = await service(bare_database_url)
    statuses: Counter[int] = Counter()
    with seen(CatalogLoaded) as loaded:
        paths = (
            "/collections/t/items?count=none",
            "/collections/t/items/3",
            "/collections/t/export",
        )
        asking = [asyncio.ensure_future(keep_asking(client, path, statuses)) for path in paths]
        connection = await asyncpg.connect(bare_database_url)
        try:
            async with asyncio.timeout(60):
                while len(loaded) < 40:
                    await connection.execute("ALTER TABLE t RENAME n TO m")
                    await asyncio.sleep(0.005)
                    await connection.execute("ALTER TABLE t RENAME m TO n")
        finally:
            await connection.close()
            for each in asking:
                each.cancel()
    assert set(statuses) <= {200, 503}
    assert statuses[200]
