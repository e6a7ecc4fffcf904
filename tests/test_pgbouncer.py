"""Behind a real PgBouncer in transaction mode, with fewer server connections than clients."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from geosvc.database.migrations import migrate_up
from geosvc.http.keys import CHANGE_READER
from tests.conftest import Service, settings_for
from tests.events import subscribed
from tests.http import fetch
from tests.live import connected, publish_now, unpublish_now
from tests.pooler import PGBOUNCER
from tests.processes import serving, unexpected

pytestmark = pytest.mark.skipif(
    PGBOUNCER is None, reason="pgbouncer is not installed (make setup-test installs it)"
)


@pytest.fixture
def pooled_url(pooled_database: tuple[str, int]) -> str:
    return f"postgresql://geosvc@127.0.0.1:{pooled_database[1]}/geosvc_pooled"


async def test_everything_reads_through_a_transaction_pooler(
    service: Service, pooled_url: str
) -> None:
    client = await service(pooled_url, pgbouncer="true", pool_max_size=20)

    async def read(number: int) -> None:
        page = await fetch(
            client, f"/collections/points/items?limit=50&offset={number}&bbox=0,0,5,5&f=json"
        )
        assert page["numberReturned"] == 50
        assert page["features"][0]["properties"]["at"].endswith(
            "+00:00"
        )  # UTC: the settings hold in every transaction
        assert page["features"][0]["properties"]["span"] == "P1DT2H"
        item = await fetch(client, f"/collections/points/items/{number + 1}")
        assert item["id"] == number + 1
        export = await fetch(client, "/collections/points/export?properties=id")
        assert len(export["features"]) == 5000

    await asyncio.gather(*(read(number) for number in range(30)))


async def test_paging_and_counts_work_through_a_transaction_pooler(
    service: Service, pooled_url: str
) -> None:
    client = await service(pooled_url, pgbouncer="true")
    path: str | None = "/collections/points/items?limit=2000&skipGeometry=true&count=exact"
    seen: list[int] = []
    while path:
        page = await fetch(client, path)
        assert page["numberMatched"] == 5000
        seen += [each["id"] for each in page["features"]]
        path = next((each["href"] for each in page["links"] if each["rel"] == "next"), None)
    assert seen == list(range(1, 5001))


async def test_two_services_share_a_pooler_without_prepared_statements_in_each_others_way(
    service: Service, pooled_url: str
) -> None:
    first = await service(pooled_url, pgbouncer="true", pool_max_size=10)
    second = await service(pooled_url, pgbouncer="true", pool_max_size=10)
    for _ in range(5):
        await asyncio.gather(
            *(
                fetch(client, f"/collections/points/{path}")
                for client in (first, second)
                for path in (
                    "items?limit=20",
                    "export?properties=id",
                    "items/5",
                    "items?bbox=1,0,2,2&limit=1500",
                )
            )
        )


async def test_a_client_that_leaves_frees_the_poolers_connection(
    service: Service, pooled_url: str, pooled_database: tuple[str, int]
) -> None:
    with serving(pooled_url, pgbouncer="true") as running:
        parts = urlsplit(running.url)
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"GET /collections/slow/items?seconds=30 HTTP/1.1\r\nHost: x\r\n\r\n")
        observer = await asyncpg.connect(pooled_database[0])
        sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        async with asyncio.timeout(10):
            while await observer.fetchval(sql) == 0:
                await asyncio.sleep(0.02)
        writer.close()
        started = time.monotonic()
        async with asyncio.timeout(10):
            while await observer.fetchval(sql) > 0:
                await asyncio.sleep(0.02)
        assert time.monotonic() - started < 1
        await observer.close()
        assert not unexpected(running)


def test_migrations_go_past_the_pooler(pooled_url: str, pooled_database: tuple[str, int]) -> None:
    import os
    import sys

    environment = {
        **os.environ,
        "GEOSVC_DATABASE_URL": pooled_url,
        "GEOSVC_DIRECT_DATABASE_URL": pooled_database[0],
        "GEOSVC_PGBOUNCER": "true",
    }
    for direction in ("up", "status", "down"):
        result = subprocess.run(
            [sys.executable, "-m", "geosvc", "migrate", direction],
            env=environment,
            timeout=60,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
    assert json.dumps(result.stdout)


@pytest.fixture
def published(pooled_database: tuple[str, int]) -> Iterator[str]:
    """The table of the pooled database, published; the database without the pooler."""
    url = pooled_database[0]
    migrate_up(settings_for(url), url)
    publish_now(url, "points")
    yield url
    unpublish_now(url, "points")


@pytest.mark.parametrize("direct", [True, False])
async def test_changes_are_told_and_pages_kept_through_a_transaction_pooler(
    service: Service, pooled_url: str, published: str, direct: bool
) -> None:
    more = {"direct_database_url": published} if direct else {}
    client = await service(pooled_url, pgbouncer="true", feed_poll_seconds=0.05, **more)
    assert client.server is not None
    reader = client.server.app[CHANGE_READER]  # type: ignore[attr-defined]
    async with (
        subscribed(client, "/collections/points/changes?properties=id") as stream,
        connected(published) as writer,
    ):
        assert reader.is_listening == direct
        for number in range(1, 21):
            await writer.execute("UPDATE points SET at = now() WHERE id = $1", number)
            first = await client.get("/collections/points/items?limit=1")
            again = await client.get(
                "/collections/points/items?limit=1",
                headers={"If-None-Match": first.headers["ETag"]},
            )
            assert (first.status, again.status) == (200, 304)
        events = await stream.wait(20)
    assert [each.content["id"] for each in events] == list(range(1, 21))


async def test_a_wait_in_the_poolers_queue_is_a_wait_for_a_connection(
    service: Service, pooled_url: str, pooled_database: tuple[str, int]
) -> None:
    client = await service(
        pooled_url, pgbouncer="true", pool_acquire_seconds=0.6, pool_max_size=6, pool_min_size=0
    )
    for _ in range(2):
        await asyncio.gather(
            *(fetch(client, "/collections/points/items?limit=3") for _ in range(4))
        )
    holders = [await asyncpg.connect(pooled_url, statement_cache_size=0) for _ in range(3)]
    try:
        for each in holders:
            await each.execute("BEGIN")

        async def ask(path: str) -> tuple[int, str, bool]:
            async with client.get(path) as response:
                return (
                    response.status,
                    (await response.json())["type"],
                    "Retry-After" in response.headers,
                )

        paths = (
            "items?limit=3",
            "items/7",
            "export",
            "items?limit=3",
            "items/8",
            "items?filter=id%3D7",
            "items?limit=2",
        )
        answers = await asyncio.gather(*(ask(f"/collections/points/{path}") for path in paths))
    finally:
        for each in holders:
            await each.close()
    assert set(answers) == {(503, "urn:geosvc:problem:pool-exhausted", True)}
    await fetch(client, "/collections/points/items?limit=3")
