"""The catalog follows DDL while serving, without a restart."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit

import asyncpg
import pytest

from geosvc.catalog.collections import build_catalog
from geosvc.database.catalog import CatalogFollower, load_catalog, served_collections
from geosvc.database.pool import Database
from geosvc.model.value_bounds import ValueBounds
from geosvc.sql.files import load_statement
from tests.conftest import Client, Service, settings_for
from tests.http import fetch

TABLE = """CREATE TABLE shops (id int PRIMARY KEY, name text, geom geometry(Point, 4326));
INSERT INTO shops SELECT i, 'shop ' || i, ST_SetSRID(ST_Point(i, 1), 4326) FROM generate_series(1, 50) i"""


@pytest.fixture
async def connection(bare_database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    opened = await asyncpg.connect(bare_database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def client(service: Service, bare_database_url: str) -> Client:
    return await service(bare_database_url)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.05)


async def listed(client: Client) -> set[str]:
    return {each["id"] for each in (await fetch(client, "/collections"))["collections"]}


async def test_a_new_table_is_there_as_soon_as_it_is_asked_for(
    client: Client, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await fetch(client, "/collections/shops", status=404)
    await connection.execute(TABLE)
    await asyncio.sleep(1.1)  # unknown names look at the database once a second at the most
    assert (await fetch(client, "/collections/shops/items?count=exact"))["numberMatched"] == 50
    assert await listed(client) == {"shops"}


async def test_dropping_renaming_and_altering_are_followed(
    client: Client, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await connection.execute(TABLE)
    await until(lambda: _is(client, {"shops"}))
    assert (await fetch(client, "/collections/shops/items/7"))["properties"]["name"] == "shop 7"
    await connection.execute("ALTER TABLE shops RENAME COLUMN name TO title")
    for path in (
        "/collections/shops/items/7",
        "/collections/shops/items",
        "/collections/shops/export",
    ):
        body = await fetch(client, path)
        feature = body if "properties" in body else body["features"][0]
        assert feature["properties"]["title"].startswith("shop"), path
    await connection.execute(
        "ALTER TABLE shops ALTER COLUMN title TYPE varchar(3) USING left(title, 3)"
    )
    assert (await fetch(client, "/collections/shops/items/7"))["properties"]["title"] == "sho"
    await connection.execute("ALTER TABLE shops RENAME TO stores")
    await fetch(client, "/collections/shops/items", status=404)
    await until(lambda: _is(client, {"stores"}))
    await connection.execute("COMMENT ON TABLE stores IS 'Where to buy'")
    await until(lambda: _described(client))
    await connection.execute("DROP TABLE stores")
    await fetch(client, "/collections/stores/items", status=404)
    await until(lambda: _is(client, set()))


async def _is(client: Client, expected: set[str]) -> bool:
    return await listed(client) == expected


async def _described(client: Client) -> bool:
    return bool((await fetch(client, "/collections/stores")).get("description") == "Where to buy")


async def test_only_what_the_role_may_read_is_published(
    service: Service, bare_database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await connection.execute(TABLE)
    await connection.execute(
        "CREATE TABLE secrets AS TABLE shops; CREATE SCHEMA other; CREATE TABLE other.shops AS"
        " TABLE shops"
    )
    parts = urlsplit(bare_database_url)
    role = f"reader_{parts.path.strip('/')}"
    await connection.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'reader'; GRANT SELECT (id, geom) ON shops TO {role}"
    )
    try:
        client = await service(
            parts._replace(netloc=f"{role}:reader@{parts.netloc.rpartition('@')[2]}").geturl()
        )
        assert await listed(client) == {"shops"}
        feature = (await fetch(client, "/collections/shops/items"))["features"][0]
        assert feature["properties"].keys() == {"id"}
        await connection.execute(f"GRANT SELECT ON secrets TO {role}")
        await until(lambda: _is(client, {"secrets", "shops"}))
        await connection.execute(f"REVOKE ALL ON secrets FROM {role}")
        await fetch(client, "/collections/secrets/items", status=404)
        await client.close()
    finally:
        await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_schemas_patterns_and_overrides_decide_what_is_published(
    service: Service, bare_database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await connection.execute(TABLE)
    await connection.execute("""CREATE SCHEMA other; CREATE TABLE other.lakes AS TABLE shops;
        CREATE VIEW shops_view AS SELECT id, name, now() AS seen, geom::geometry AS geom FROM shops; ANALYZE""")
    both = await service(bare_database_url, schemas="public,other")
    assert await listed(both) == {"shops", "shops_view", "other.lakes"}
    assert (await fetch(both, "/collections/other.lakes/items"))["numberReturned"] == 10
    some = await service(bare_database_url, schemas="other,public", exclude_tables="*view")
    assert await listed(some) == {"lakes", "public.shops"}
    override = {"shops_view": {"key": "id", "datetime": "seen", "srid": 4326, "title": "Shops"}}
    keyed = await service(bare_database_url, tables="shops*", collections=override)
    assert (await fetch(keyed, "/collections/shops_view"))["title"] == "Shops"
    assert (await fetch(keyed, "/collections/shops_view/items/9"))["properties"]["name"] == "shop 9"
    assert (await fetch(keyed, "/collections/shops_view/items?bbox=2.5,0,4.5,2"))[
        "numberReturned"
    ] == 2


async def test_postgis_made_anew_is_noticed(
    client: Client, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await connection.execute(TABLE)
    await until(lambda: _is(client, {"shops"}))
    await connection.execute(
        "DROP EXTENSION postgis CASCADE; CREATE SCHEMA gis; CREATE EXTENSION postgis SCHEMA gis"
    )
    await connection.execute("ALTER TABLE shops ADD COLUMN geom gis.geometry(Point, 4326)")
    await connection.execute("UPDATE shops SET geom = gis.ST_SetSRID(gis.ST_Point(id, 1), 4326)")
    await until(lambda: _has_geometry(client))


async def _has_geometry(client: Client) -> bool:
    async with client.get("/collections/shops/items?bbox=0,0,5,5") as response:
        if response.status != 200:
            return False
        features = (await response.json(content_type=None))["features"]
        return bool(features) and features[0]["geometry"] is not None


class HidingDatabase(Database):
    """Hides a cancellation once, as asyncpg's pool does when it comes together with a
    connection.
    """

    warming: asyncio.Event

    async def keep_warm(self) -> None:
        self.warming.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


async def test_a_cancellation_that_asyncpg_hides_ends_the_follower_all_the_same(
    bare_database_url: str,
) -> None:
    settings = settings_for(bare_database_url)
    database = HidingDatabase(settings, bare_database_url)
    database.warming = asyncio.Event()
    await database.open()
    following = asyncio.create_task(CatalogFollower(database, settings).follow())
    async with asyncio.timeout(20):
        await database.warming.wait()
    following.cancel()
    done, _ = await asyncio.wait([following], timeout=5)
    following.cancel()
    await database.close()
    assert done


async def test_a_constraint_whose_table_was_just_dropped_bounds_nothing(
    connection: "asyncpg.Connection[asyncpg.Record]", bare_database_url: str
) -> None:
    await connection.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0) CHECK (n < 9), geom geometry)"
    )
    statement = load_statement("catalog", (["public"],))
    [row] = await connection.fetch(statement.text, *statement.args)
    description = json.loads(row[0])
    description["checks"][0] = None
    served = served_collections(settings_for(bare_database_url))
    catalog = build_catalog([description], served, "")
    assert catalog.collections["t"].by_name["n"].bounds == ValueBounds(below=9)


async def test_tables_that_are_made_and_dropped_while_the_catalog_is_read_are_there_or_not(
    bare_database_url: str,
) -> None:
    """A statement sees a table in its snapshot that PostgreSQL's functions cannot describe any
    more.
    """
    table = (
        "CREATE TABLE t{0} (id int PRIMARY KEY, n int CHECK (n > 0), m d{0}, geom geometry);"
        " COMMENT ON COLUMN t{0}.n IS 'a number'"
    )
    made = [f"CREATE DOMAIN d{i} AS int CHECK (VALUE > 0); {table.format(i)}" for i in range(8)]
    gone = [f"DROP TABLE t{i}; DROP DOMAIN d{i}" for i in range(8)]
    settings = settings_for(bare_database_url)
    database = Database(settings, bare_database_url)
    await database.open()

    async def come_and_go() -> None:
        async with asyncpg.create_pool(bare_database_url, min_size=1, max_size=1) as pool:
            for _ in range(40):
                for command in (*made, *gone):
                    await pool.execute(command)

    writing = asyncio.create_task(come_and_go())
    sizes = set()
    try:
        async with asyncio.timeout(60):
            while not writing.done():
                catalog = await load_catalog(database, served_collections(settings), "", "")
                sizes.add(len(catalog.collections))
    finally:
        writing.cancel()
        await asyncio.wait([writing])
        await database.close()
    assert len(sizes) > 4
