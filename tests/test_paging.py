"""Paging: every surviving row exactly once, whatever is inserted and deleted between pages."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geosvc.catalog.collections import ServedCollections
from geosvc.database.catalog import load_catalog
from geosvc.database.pool import Database
from geosvc.database.reads.features import fetch_features
from geosvc.formats import GEOJSON_FORMAT
from geosvc.model.collection import Collection
from geosvc.query.features import select_items
from geosvc.query.paging import PageEnd, next_cursor, pages_of
from geosvc.requests.cursor import Cursor, encode_cursor, parse_cursor
from geosvc.requests.items import ItemsQuery, SortKey
from tests.conftest import settings_for

TABLE = """
CREATE TABLE ties (id int PRIMARY KEY, word text, number float8, day date, must int NOT NULL, geom geometry(Point,4326));
CREATE TABLE keyless (word text, number float8, day date, must int NOT NULL, geom geometry(Point,4326));
"""

words = st.sampled_from([None, "", "a", "A", "ä", "b", "b ", "a,b", "\\", "'", '"'])
numbers = st.sampled_from(
    [None, 0.0, -0.0, 0.1, 1 / 3, float("nan"), float("inf"), float("-inf"), 1e308, 5e-324]
)
days = st.sampled_from([None, "2020-01-01", "infinity", "-infinity", "0044-03-15 BC"])
rows = st.lists(st.tuples(words, numbers, days, st.integers(0, 2)), max_size=14)
orders = st.lists(
    st.tuples(st.sampled_from(["word", "number", "day", "must", "id"]), st.booleans()),
    max_size=3,
    unique_by=lambda key: key[0],
)
edits = st.lists(
    st.tuples(st.booleans(), st.tuples(words, numbers, days, st.integers(0, 2))), max_size=6
)


class Pages:
    """A table of random rows, read page by page while it changes."""

    def __init__(
        self, database: Database, connection: "asyncpg.Connection[Any]", collection: Collection
    ) -> None:
        self.database, self.connection, self.collection = database, connection, collection
        self.last_id = 0

    async def fill(self, found: list[Any]) -> None:
        await self.connection.execute(f"TRUNCATE {self.collection.name}")
        for row in found:
            await self.insert(row)

    async def insert(self, row: Any) -> None:
        self.last_id += 1
        columns = (
            "id, word, number, day, must" if self.collection.key else "word, number, day, must"
        )
        values = [*([self.last_id] if self.collection.key else []), row[0], row[1], row[2], row[3]]
        casts = {len(values) - 1: "::text::date"}
        marks = ", ".join(f"${n}{casts.get(n, '')}" for n in range(1, len(values) + 1))
        await self.connection.execute(
            f"INSERT INTO {self.collection.name} ({columns}) VALUES ({marks})", *values
        )

    async def addresses(self) -> set[str]:
        column = "id" if self.collection.key else "ctid"
        return {
            row[0]
            for row in await self.connection.fetch(
                f"SELECT {column}::text FROM {self.collection.name}"
            )
        }

    async def page(self, request: ItemsQuery) -> tuple[list[str], Cursor | None]:
        page = select_items(self.collection, request, GEOJSON_FORMAT)
        end = PageEnd(request.limit)
        taken = end.take(await fetch_features(self.database, page))
        cursor = next_cursor(pages_of(self.collection, request), request, end, None)
        keyed = bool(self.collection.key)
        found = [str(json.loads(row[0])["id"]) if keyed else row[-1] for row in taken]
        return found, cursor and parse_cursor(encode_cursor(cursor))


@asynccontextmanager
async def opened(tables_url: str) -> AsyncIterator[tuple[Pages, Pages]]:
    """A keyed and a keyless table, and a pool to read them."""
    connection = await asyncpg.connect(tables_url)
    await connection.execute(TABLE)
    database = Database(settings_for(tables_url), tables_url)
    await database.open()
    catalog = await load_catalog(database, ServedCollections(), "", "")
    yield (
        Pages(database, connection, catalog["ties"]),
        Pages(database, connection, catalog["keyless"]),
    )
    await database.close()
    await connection.close()


async def _walk(pages: Pages, found: Any, order: Any, changes: Any, limit: int) -> None:
    await pages.fill(found)
    order = [key for key in order if key[0] != "id" or pages.collection.key]
    base = ItemsQuery(
        limit=limit, sortby=tuple(SortKey(name, down) for name, down in order), count="none"
    )
    at_first = await pages.addresses()
    survivors, seen, cursor = set(at_first), [], None
    for turn in range(100):
        taken, cursor = await pages.page(
            ItemsQuery(limit=limit, sortby=base.sortby, count="none", cursor=cursor)
        )
        seen += taken
        if cursor is None:
            break
        if turn < len(changes):
            delete, row = changes[turn]
            present = sorted(await pages.addresses())
            if delete and present:
                victim = present[turn % len(present)]
                column, cast = ("id", "int") if pages.collection.key else ("ctid", "tid")
                await pages.connection.execute(
                    f"DELETE FROM {pages.collection.name} WHERE {column} = $1::text::{cast}", victim
                )
                survivors.discard(victim)
            elif not delete:
                await pages.insert(row)
    assert len(seen) == len(set(seen)), "a row came twice"
    assert survivors <= set(seen), "a row vanished"


def test_every_surviving_row_comes_exactly_once(bare_database_url: str) -> None:
    """Random tables with ties and NULLs, sorted by anything, with rows inserted and deleted between
    the pages.
    """
    with asyncio.Runner() as runner:
        tables = opened(bare_database_url)
        keyed, keyless = runner.run(tables.__aenter__())

        @given(rows, orders, edits, st.integers(1, 4))
        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        def check(found: Any, order: Any, changes: Any, limit: int) -> None:
            runner.run(_walk(keyed, found, order, changes, limit))
            runner.run(_walk(keyless, found, order, changes, limit))

        try:
            check()
        finally:
            runner.run(tables.__aexit__(None, None, None))
