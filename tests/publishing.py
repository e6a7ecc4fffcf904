"""Fixtures of tests that publish tables, and how they look at the log."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from geosvc.database.changefeed.publishing import Published, publish, unpublish
from geosvc.database.migrations import migrate_up
from geosvc.settings import Settings

Logged = list[tuple[Any, ...]]
PLACES = "CREATE TABLE places (id int PRIMARY KEY, name text, geom geometry(Point, 4326))"


class Writing:
    """A session of somebody who writes, and the commands of somebody who publishes."""

    def __init__(self, url: str, connection: asyncpg.Connection) -> None:
        self.url = url
        self.connection = connection
        self.execute = connection.execute
        self.fetch = connection.fetch
        self.value = connection.fetchval

    async def publish(
        self, collection: str = "places", settings: Settings | None = None
    ) -> Published:
        """Publishes, and forgets what that logs."""
        done = await publish(settings or Settings(), self.url, collection)
        await self.logged()
        return done

    async def unpublish(self, collection: str = "places") -> Published:
        """Unpublishes."""
        return await unpublish(Settings(), self.url, collection)

    async def rows(self) -> list[asyncpg.Record]:
        """What was logged since somebody looked."""
        return list(
            await self.fetch(
                "WITH gone AS (DELETE FROM geosvc.change RETURNING *, operation::text AS op)"
                " SELECT * FROM gone ORDER BY seq"
            )
        )

    async def logged(self) -> Logged:
        """(operation, key, rows) of it."""
        return [(each["op"], each["key"], each["rows"]) for each in await self.rows()]

    async def does(self, statement: str) -> Logged:
        """What a statement logs."""
        await self.execute(statement)
        return await self.logged()


@pytest.fixture
def migrated_url(bare_database_url: str) -> str:
    """A fresh database with PostGIS and geosvc's schema."""
    migrate_up(Settings(), bare_database_url)
    return bare_database_url


@pytest.fixture
async def db(migrated_url: str) -> AsyncIterator[Writing]:
    """Somebody who writes to a database with PostGIS and geosvc's schema."""
    connection = await asyncpg.connect(migrated_url)
    yield Writing(migrated_url, connection)
    await connection.close()


@pytest.fixture
async def nasty_db(nasty_database_url: str, migrate_nasty: None) -> AsyncIterator[Writing]:
    """Somebody who writes to the nasty tables."""
    connection = await asyncpg.connect(nasty_database_url)
    yield Writing(nasty_database_url, connection)
    await connection.close()


@pytest.fixture
def migrate_nasty(nasty_database_url: str) -> None:
    """Geosvc's schema among the nasty tables."""
    migrate_up(Settings(), nasty_database_url)


@pytest.fixture
async def as_role(
    db: Writing,
) -> AsyncIterator[Callable[[str, str], Awaitable[asyncpg.Connection]]]:
    """Connects as a role that is made with a name and some rights, and drops it at the end."""
    made: list[tuple[str, asyncpg.Connection]] = []

    async def make(name: str, rights: str) -> asyncpg.Connection:
        role = f"{name}_{await db.value('SELECT pg_backend_pid()')}"
        await db.execute(f"CREATE ROLE {role}; {rights.format(role=role)}")
        connection = await asyncpg.connect(db.url)
        made.append((role, connection))
        await connection.execute(f"SET SESSION AUTHORIZATION {role}")
        return connection

    yield make
    for role, connection in made:
        await connection.close()
        await db.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
