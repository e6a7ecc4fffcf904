"""`geosvc publish`: every change of a table is logged with the transaction that makes it, whatever they are."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result

from geosvc.cli import main
from geosvc.database.catalog import CatalogFollower
from geosvc.database.migrations import migrate_up
from geosvc.database.pool import Database
from geosvc.database.publishing import publish, unpublish
from geosvc.model.collection import Publication
from geosvc.settings import Settings
from tests.conftest import execute, settings_for, with_database

SETTINGS = Settings()


@pytest.fixture(scope="session")
def migrated_template(server_url: str, bare_template: str) -> str:
    """A database with PostGIS and geosvc's schema."""
    name = "geosvc_migrated"
    execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{bare_template}"')
    migrate_up(SETTINGS, with_database(server_url, name))
    return name


@pytest.fixture
def url(clone: Callable[[str], str], migrated_template: str) -> str:
    """A fresh database with geosvc's schema."""
    return clone(migrated_template)


@pytest.fixture
async def db(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of somebody who writes."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def logged(connection: asyncpg.Connection) -> list[tuple[Any, ...]]:
    """(operation, key, rows) of what was logged since the last call."""
    rows = await connection.fetch(
        "WITH gone AS (DELETE FROM geosvc.change RETURNING *) SELECT operation::text, key, rows FROM gone ORDER BY seq"
    )
    return [(each["operation"], each["key"], each["rows"]) for each in rows]


async def test_a_row_inserted_changed_and_deleted_is_logged_with_its_states_and_boxes(url: str, db: asyncpg.Connection) -> None:
    await db.execute("CREATE TABLE places (id int PRIMARY KEY, name text, geom geometry(Point, 4326))")
    done = await publish(settings_for(url), url, "places")
    assert (done.publication, done.relation, done.parts, done.warnings) == (1, "public.places", 0, ())
    assert await logged(db) == [("+", None, 0)]
    await db.execute("INSERT INTO places VALUES (1, 'here', 'SRID=4326;POINT(1 2)')")
    await db.execute("UPDATE places SET name = 'there', geom = 'SRID=4326;POINT(3 4)'")
    await db.execute("DELETE FROM places")
    rows = await db.fetch("SELECT *, operation::text AS op FROM geosvc.change ORDER BY seq")
    assert [(row["op"], row["key"], row["rows"]) for row in rows] == [("i", "1", None), ("u", "1", None), ("d", "1", None)]
    here = '{"id":1,"name":"here","geom":"0101000020E6100000000000000000F03F0000000000000040"}'
    there = '{"id":1,"name":"there","geom":"0101000020E610000000000000000008400000000000001040"}'
    assert [(row["old"], row["new"]) for row in rows] == [(None, here), (here, there), (there, None)]
    at_1, at_3 = asyncpg.Box((1, 2), (1, 2)), asyncpg.Box((3, 4), (3, 4))
    assert [(row["old_box"], row["new_box"]) for row in rows] == [(None, at_1), (at_1, at_3), (at_3, None)]
    await unpublish(settings_for(url), url, "places")
    await db.execute("INSERT INTO places VALUES (2, 'here', NULL)")
    assert (await logged(db))[-1] == ("-", None, 0)


def run(command: str, url: str, *arguments: str, status: int = 0) -> Result:
    """Runs a command of geosvc."""
    result = CliRunner().invoke(main, [command, *arguments, "--database-url", url])
    assert result.exit_code == status, result.output
    return result


def test_the_commands_publish_mend_and_unpublish(url: str) -> None:
    execute(url, "CREATE TABLE places (id int PRIMARY KEY, geom geometry(Point, 4326))")
    told = "places is published: changes of public.places are logged as publication 1\n"
    assert run("publish", url, "places").output == told
    assert run("publish", url, "places").output == told
    assert run("unpublish", url, "places").output == "places is no longer published: nothing is left in public.places\n"
    assert run("unpublish", url, "places", status=1).output == "geosvc: places is not published\n"
    assert run("publish", url, "place", status=1).output == "geosvc: there is no collection place; there is places\n"


def test_publishing_wants_the_change_log(bare_database_url: str) -> None:
    execute(bare_database_url, "CREATE TABLE places (id int PRIMARY KEY, geom geometry(Point, 4326))")
    refused = run("publish", bare_database_url, "places", status=1)
    assert refused.output == "geosvc: the database has no change log yet: geosvc migrate up\n"


async def test_the_catalog_tells_what_is_published_and_notices_when_it_is_not(url: str, db: asyncpg.Connection) -> None:
    await db.execute("CREATE TABLE places (id int PRIMARY KEY, name text, geom geometry(Point, 4326))")
    database = Database(settings_for(url), url)
    await database.open()
    follower = CatalogFollower(database, settings_for(url))

    async def published() -> Publication | None:
        await follower.look()
        return (await follower.collection("places")).publication

    assert await published() is None
    await publish(settings_for(url), url, "places")
    there = Publication(1, ("id", "name", "geom"), ("id",), "geom")
    assert await published() == there
    for statement, found in [
        ("ALTER TABLE places DISABLE TRIGGER geosvc_delete", None),
        ("ALTER TABLE places ENABLE TRIGGER geosvc_delete", None),
        ("ALTER TABLE places ENABLE ALWAYS TRIGGER geosvc_delete", there),
        ("CREATE TABLE more () INHERITS (places)", None),
        ("ALTER TABLE more NO INHERIT places", there),
        ("DROP TRIGGER geosvc_truncate ON places", None),
    ]:
        await db.execute(statement)
        assert await published() == found, statement
    await database.close()
