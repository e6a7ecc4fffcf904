"""Ids name one row or the collection has none; paging gives each row once; a write touches one row
at the most: for every kind of relation, key and constraint.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from geosvc.catalog.collections import Catalog
from geosvc.database.catalog import load_catalog, served_collections
from geosvc.database.pool import Database
from geosvc.database.reads.features import fetch_features
from geosvc.formats import GEOJSON_FORMAT
from geosvc.model.collection import Collection
from geosvc.query.features import select_items
from geosvc.query.paging import PageEnd, next_cursor, pages_of
from geosvc.requests.cursor import Cursor, encode_cursor, parse_cursor
from geosvc.requests.items import ItemsQuery, SortKey
from geosvc.settings import Settings
from tests.conftest import Client, Service, settings_for
from tests.databases import make_template, with_database
from tests.http import fetch
from tests.posting import MERGE_PATCH, feature, point, send

COLUMNS = "k {} , n int, word text, geom geometry(Point, 4326)"
ROW = "n, (ARRAY['b', NULL, 'a', 'b'])[1 + n % 4], ST_SetSRID(ST_Point(n, n), 4326)"


def rows(name: str, key: str = "n", of: str = "generate_series(1, 9) n") -> str:
    """Fills a relation; some words are NULL, and some repeat."""
    return f"INSERT INTO {name} (k, n, word, geom) SELECT {key}, {ROW} FROM {of};"


def table(
    name: str,
    kind: str = "int",
    *,
    key: str = "n",
    more: str = "",
    of: str = "generate_series(1, 9) n",
) -> str:
    """A table with a key column `k` and rows."""
    return f"CREATE TABLE {name} ({COLUMNS.format(kind)}{more}); {rows(name, key, of)}"


@dataclass(frozen=True)
class Case:
    """A relation called as the case is.

    Attributes:
        key: what makes its ids; none where the key that the settings name is repeated.
        configured: the key that the settings name.
    """

    name: str
    sql: str
    key: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()


FOREIGN = f"CREATE FOREIGN TABLE {{0}} ({COLUMNS.format('int')}) SERVER here OPTIONS (table_name '{{1}}');"
REPEATING = "generate_series(1, 9) n, generate_series(1, 1 + (n % 3 = 0)::int)"
PARTS = "CREATE TABLE {name}_{part} PARTITION OF {name} FOR VALUES IN ({values});"
KEYS = {
    "int8": "n * 4611686018427387 - 1",
    "numeric": "CASE WHEN n = 9 THEN 'NaN' ELSE n::numeric(9, 2) END",
    "float8": "(ARRAY['NaN', '-0', 'Infinity', '-Infinity', '1e300', '0.1', '1e-300', '3', '4'])[n]::float8",
    "float4": "(ARRAY['NaN', '-0', 'Infinity', '-Infinity', '1e30', '0.1', '1e-30', '3', '4'])[n]::float4",
    "text": "(ARRAY['a', 'A', 'a ', 'ä', ' ', ',', E'\\\\', '/', '%'])[n]",
    "varchar": "chr(90 + n)",
    "char(5)": "chr(90 + n)",
    '"char"': 'chr(90 + n)::"char"',
    "name": "chr(90 + n)",
    "bool": "n = 1",
    "date": "CASE n WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' WHEN 3 THEN '0044-03-15 BC' ELSE '2020-01-01'::date + n END",
    "timestamptz": "CASE n WHEN 1 THEN 'infinity' ELSE '2020-01-01 12:00+03'::timestamptz + n * interval '1 us' END",
    "timestamp": "CASE n WHEN 1 THEN '-infinity' ELSE '2020-01-01'::timestamp + n * interval '1 us' END",
    "interval": "n * interval '1 month'",
    "time": "'00:00'::time + n * interval '1 us'",
    "uuid": "md5(n::text)::uuid",
    "inet": "('10.0.0.' || n || '/8')::inet",
    "bytea": "decode(lpad(n::text, 4, '0'), 'hex')",
    "jsonb": "to_jsonb(n)",
    "int[]": "ARRAY[n, n]",
    "int4range": "int4range(n, n + 1)",
    "bit(4)": "n::bit(4)",
    "oid": "n",
    "money": "n * 1000",
    "mood": "(ARRAY['sad', 'so, so', 'glad'])[1 + n % 3]::mood",
    "citext": "(ARRAY['a', 'B', 'c', 'D', 'e', 'f', 'G', 'h', 'i'])[n]",
    "whole": "n",
    "hstore": "hstore('a', n::text)",
    "macaddr": "('08:00:2b:01:02:0' || n)::macaddr",
}
PREPARING = f"""
CREATE TABLE far ({COLUMNS.format("int")}); CREATE TABLE farther ({COLUMNS.format("int")});
CREATE EXTENSION hstore; CREATE SCHEMA apart; CREATE EXTENSION ltree SCHEMA apart;
CREATE EXTENSION citext; CREATE EXTENSION postgres_fdw; CREATE EXTENSION btree_gist; CREATE EXTENSION file_fdw;
CREATE TYPE mood AS ENUM ('sad', 'so, so', 'glad');
CREATE DOMAIN whole AS int;
CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
DO $$ BEGIN
  EXECUTE format('CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L)',
                 split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database());
END $$;
CREATE USER MAPPING FOR PUBLIC SERVER here;
"""
FAR = rows("far", of="generate_series(1, 5) n")


def keyed_cases() -> Iterator[Case]:
    """A primary key of every type."""
    few = {"mood": "generate_series(1, 3) n", "bool": "generate_series(1, 2) n"}
    for number, (kind, key) in enumerate(KEYS.items()):
        of = few.get(kind, "generate_series(1, 9) n")
        yield Case(
            f"type{number}",
            table(f"type{number}", kind, key=key, more=", PRIMARY KEY (k)", of=of),
            ("k",),
        )


def index_cases() -> Iterator[Case]:
    """What looks like a key, and is none."""
    indexes = {
        "nullable": "CREATE UNIQUE INDEX ON {name} (k); INSERT INTO {name} (n) VALUES (10), (11);",
        "partial_index": "ALTER TABLE {name} ALTER k SET NOT NULL; CREATE UNIQUE INDEX ON {name} (k) WHERE n < 10;",
        "expression_index": "CREATE UNIQUE INDEX ON {name} ((k + 0));",
        "deferred": "ALTER TABLE {name} ADD PRIMARY KEY (k) DEFERRABLE INITIALLY DEFERRED;",
        "excluding": "ALTER TABLE {name} ALTER k SET NOT NULL, ADD EXCLUDE USING gist (k WITH =);",
        "not_unique": "ALTER TABLE {name} ALTER k SET NOT NULL; CREATE INDEX ON {name} (k);",
        "ordinary": "",
    }
    for name, sql in indexes.items():
        yield Case(name, table(name) + sql.format(name=name))
    including = "ALTER TABLE including ALTER k SET NOT NULL; CREATE UNIQUE INDEX ON including (k) INCLUDE (word);"
    yield Case("including", table("including") + including, ("k",))
    # unique by the index's collation, and not by the column's
    exact = table(
        "exact",
        "text COLLATE folding NOT NULL",
        key="(ARRAY['a','A','b','B','c','C','d','D','e'])[n]",
    )
    yield Case("exact", exact + 'CREATE UNIQUE INDEX ON exact (k COLLATE "C");')
    folded = table("folded", "text COLLATE folding PRIMARY KEY", key="chr(64 + n)")
    yield Case("folded", folded, ("k",))
    ids = "int GENERATED ALWAYS AS (n * 2) STORED PRIMARY KEY"
    # what is not found again by its text: names of what is gone, and operators that no statement
    # sees
    yield Case("named", table("named", "regclass PRIMARY KEY", key="n::oid::regclass"))
    yield Case(
        "hidden", table("hidden", "apart.ltree PRIMARY KEY", key="('a.b' || n)::apart.ltree")
    )
    generated = f"CREATE TABLE generated ({COLUMNS.format(ids)});"
    generated += f"INSERT INTO generated (n, word, geom) SELECT {ROW} FROM generate_series(1, 9) n;"
    yield Case("generated", generated, ("k",))
    pair = table(
        "pair",
        "text",
        key="CASE WHEN n < 5 THEN ',' ELSE E'a\\\\,' END",
        more=", PRIMARY KEY (k, n)",
    )
    yield Case("pair", pair, ("k", "n"))
    yield Case("swapped", table("swapped", more=", PRIMARY KEY (k, n)"), ("n", "k"), ("n", "k"))
    yield Case("repeated", table("repeated", of=REPEATING), (), ("k",))


def tree_cases() -> Iterator[Case]:
    """Children and partitions."""
    parent = table("parent", "int PRIMARY KEY", of="generate_series(1, 5) n")
    child = "CREATE TABLE {0} (PRIMARY KEY (k)) INHERITS (parent);"
    grandchild = "CREATE TABLE grandchild () INHERITS (child);"
    yield Case(
        "parent", parent + child.format("child") + rows("child") + grandchild + rows("grandchild")
    )
    yield Case("child", "")
    yield Case("grandchild", "")
    trusted = table("trusted", "int PRIMARY KEY", of="generate_series(1, 5) n")
    trusted += "CREATE TABLE trusted_child () INHERITS (trusted);" + rows(
        "trusted_child", of="generate_series(4, 9) n"
    )
    yield Case("trusted", trusted, (), ("k",))
    later = table("later", "int PRIMARY KEY", of="generate_series(1, 5) n")
    later += "CREATE TABLE later_child () INHERITS (later);" + rows(
        "later_child", of="generate_series(6, 9) n"
    )
    later += "CREATE VIEW later_seen AS SELECT * FROM later;" + FOREIGN.format(
        "later_abroad", "later"
    )
    yield Case("later", later, ("k",), ("k",))
    yield Case("later_seen", "", ("k",), ("k",))
    yield Case("later_abroad", "", ("k",), ("k",))
    yield Case(
        "keyless_parent",
        table("keyless_parent") + "CREATE TABLE c2 () INHERITS (keyless_parent);" + rows("c2"),
    )
    parted = f"CREATE TABLE {{name}} ({COLUMNS.format('int')}) PARTITION BY LIST (k);"
    parts = PARTS.format(name="{name}", part="a", values="1, 2, 3, 4") + PARTS.format(
        name="{name}", part="b", values="5, 6, 7, 8, 9"
    )
    whole = parted + "ALTER TABLE {name} ADD PRIMARY KEY (k);" + parts
    yield Case("parts_whole", whole.format(name="parts_whole") + rows("parts_whole"), ("k",))
    each = (
        parted + parts + "ALTER TABLE {name}_a ADD UNIQUE (n); ALTER TABLE {name}_b ADD UNIQUE (n);"
    )
    yield Case("parts_each", each.format(name="parts_each") + rows("parts_each"))
    only = (
        parted
        + parts
        + "ALTER TABLE {name} ALTER k SET NOT NULL; CREATE UNIQUE INDEX ON ONLY {name} (k);"
    )
    yield Case("parts_only", only.format(name="parts_only") + rows("parts_only", of=REPEATING))
    foreign = parted + PARTS.format(name="{name}", part="a", values="1, 2, 3, 4")
    foreign += "CREATE FOREIGN TABLE {name}_f PARTITION OF {name} DEFAULT SERVER here OPTIONS (table_name 'farther');"
    yield Case(
        "parts_foreign", foreign.format(name="parts_foreign") + rows("parts_foreign", of=REPEATING)
    )


def borrowed_cases() -> Iterator[Case]:
    """What has rows of others."""
    yield Case("seen", "CREATE VIEW seen AS SELECT * FROM ordinary;")
    yield Case("seen_by", "CREATE VIEW seen_by AS SELECT * FROM ordinary;", ("k",), ("k",))
    twice = "CREATE VIEW {0} AS SELECT * FROM ordinary UNION ALL SELECT * FROM repeated;"
    yield Case("twice", twice.format("twice"))
    yield Case("twice_by", twice.format("twice_by"), (), ("k",))
    yield Case(
        "seen_nulls",
        "CREATE VIEW seen_nulls AS SELECT * FROM nullable UNION ALL SELECT * FROM nullable;",
        (),
        ("k",),
    )
    yield Case("seen_words", "CREATE VIEW seen_words AS SELECT word, geom, n FROM repeated;")
    yield Case(
        "seen_geometries",
        "CREATE VIEW seen_geometries AS SELECT geom, ARRAY[n] AS n FROM repeated;",
    )
    kept = "CREATE MATERIALIZED VIEW {0} AS SELECT * FROM nullable; CREATE UNIQUE INDEX ON {0} (k);"
    yield Case("kept", kept.format("kept"), ("k",))
    yield Case("kept_plain", "CREATE MATERIALIZED VIEW kept_plain AS SELECT * FROM repeated;")
    yield Case("kept_by", "CREATE MATERIALIZED VIEW kept_by AS SELECT * FROM repeated;", (), ("k",))
    yield Case("abroad", FOREIGN.format("abroad", "repeated"))
    yield Case("abroad_by", FOREIGN.format("abroad_by", "repeated"), (), ("k",))
    yield Case("far_by", FOREIGN.format("far_by", "far") + FAR, ("k",), ("k",))
    yield Case("abroad_parts", FOREIGN.format("abroad_parts", "parts_each"))
    function = "CREATE FUNCTION geosvc_functions.{0} RETURNS TABLE (k int, n int, word text, geom geometry(Point, 4326)) {1};"
    body = "LANGUAGE sql STABLE AS 'SELECT k, n, word, geom FROM repeated{}'"
    yield Case(
        "made", "CREATE SCHEMA geosvc_functions;" + function.format("made()", body.format(""))
    )
    yield Case("made_in_order", function.format("made_in_order()", body.format(" ORDER BY n DESC")))


CASES = (*keyed_cases(), *index_cases(), *tree_cases(), *borrowed_cases())
CONFIGURED = {case.name: {"key": list(case.configured)} for case in CASES if case.configured}
LIMITS = (1, 2, 3, 7)


@pytest.fixture(scope="module")
def identity_url(server_url: str) -> str:
    """A database with every case."""
    name = make_template(
        server_url, "identities", PREPARING, *(case.sql for case in CASES if case.sql)
    )
    return with_database(server_url, name)


def configured(url: str) -> Settings:
    return settings_for(url, collections=CONFIGURED)


@pytest.fixture(scope="module")
def opened(identity_url: str) -> Iterator[tuple[asyncio.Runner, Database, Catalog]]:
    """A pool, and the catalog."""
    with asyncio.Runner() as runner:
        settings = configured(identity_url)
        database = Database(settings, identity_url)

        async def begin() -> Catalog:
            await database.open()
            return await load_catalog(database, served_collections(settings), "", "")

        yield runner, database, runner.run(begin())
        runner.run(database.close())


async def walk(
    database: Database, collection: Collection, order: tuple[SortKey, ...], limit: int
) -> list[str]:
    """The properties of all features, page by page."""
    seen: list[str] = []
    cursor: Cursor | None = None
    for _ in range(100):
        request = ItemsQuery(limit=limit, sortby=order, count="none", cursor=cursor)
        end = PageEnd(limit)
        taken = end.take(
            await fetch_features(database, select_items(collection, request, GEOJSON_FORMAT))
        )
        seen += [json.dumps(json.loads(row[0])["properties"], sort_keys=True) for row in taken]
        following = next_cursor(pages_of(collection, request), request, end, None)
        if following is None:
            return seen
        cursor = parse_cursor(encode_cursor(following))
    raise AssertionError("the pages have no end")


def orders_of(collection: Collection) -> Iterator[tuple[SortKey, ...]]:
    names = [
        name
        for name in ("k", "n", "word")
        if name in collection.by_name and collection.by_name[name].is_scalar
    ]
    yield ()
    for name, descending in product(names, (False, True)):
        yield (SortKey(name, descending),)
    if "word" in names and "k" in names:
        yield (SortKey("word", True), SortKey("k", False))


def walks_of(collection: Collection) -> Iterator[tuple[tuple[SortKey, ...], int]]:
    """Orders and limits: fewer where the address or one column tells rows apart."""
    easy = collection.key_orders_rows or (collection.has_row_address and not collection.parts)
    orders = tuple(orders_of(collection))
    yield from product(orders, (2, 3) if easy else LIMITS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_walking_gives_each_row_once(
    opened: tuple[asyncio.Runner, Database, Catalog], case: Case
) -> None:
    runner, database, catalog = opened
    collection = catalog[case.name]
    assert collection.key == case.key
    everything = runner.run(walk(database, collection, (), 1000))
    assert len(everything) == runner.run(count(database, collection))
    believed = replace(
        collection, key=case.configured, key_is_unique=False
    )  # as when rows come to repeat it
    for each in (collection, *([believed] if case.configured else [])):
        for order, limit in walks_of(each):
            assert Counter(runner.run(walk(database, each, order, limit))) == Counter(everything), (
                order,
                limit,
            )


async def count(database: Database, collection: Collection) -> int:
    call = "()" if collection.parameters is not None else ""
    async with database.connection() as connection:
        return int(
            await connection.fetchval(
                f'SELECT count(*) FROM "{collection.schema}"."{collection.name}"{call}'
            )
        )


@pytest.fixture
async def identities(service: Service, identity_url: str) -> Client:
    return await service(identity_url, collections=CONFIGURED, writable=("*",))


class Rows:
    """What is in a table, past the service."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self.execute = connection.execute
        self._connection = connection

    async def __call__(self, name: str) -> Counter[str]:
        return Counter(
            row[0] for row in await self._connection.fetch(f"SELECT t::text FROM {name} t")
        )


@pytest.fixture
async def rows_of(identity_url: str) -> AsyncIterator[Rows]:
    connection = await asyncpg.connect(identity_url)
    yield Rows(connection)
    await connection.close()


def ids_of(page: Any) -> list[Any]:
    return [each["id"] for each in page["features"] if "id" in each]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.key and not case.configured], ids=lambda case: case.name
)
async def test_the_id_of_a_feature_names_it_alone(identities: Client, case: Case) -> None:
    page = await fetch(identities, f"/collections/{case.name}/items?limit=1000")
    assert page["numberMatched"] == len(page["features"])
    ids = ids_of(page)
    assert len(set(map(str, ids))) == len(ids)
    for each in page["features"]:
        links = [link["href"] for link in each.get("links", ()) if link["rel"] == "self"]
        if "id" in each:
            found = await fetch(identities, links[0] if links else item_path(case, each["id"]))
            assert found["properties"] == each["properties"]


def item_path(case: Case, feature_id: Any) -> str:
    return f"/collections/{case.name}/items/{quote(str(feature_id), safe='')}"


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.key], ids=lambda case: case.name
)
async def test_without_a_certain_key_there_are_no_ids(identities: Client, case: Case) -> None:
    page = await fetch(identities, f"/collections/{case.name}/items?limit=2")
    assert not ids_of(page)
    await fetch(identities, f"/collections/{case.name}/items/1", 404)
    await send(identities, "DELETE", f"{case.name}/items/1", status=405)


PATCHED = {"type": "Feature", "properties": {"word": "new"}}


async def test_a_write_changes_no_row_where_several_have_the_id(
    identities: Client, rows_of: Rows
) -> None:
    """As rows come to repeat a key that the settings name, after the catalog was read."""
    for name in ("later", "later_seen", "later_abroad"):
        await fetch(identities, f"/collections/{name}/items/3")
    await rows_of.execute("INSERT INTO later_child SELECT * FROM later WHERE k = 3")
    before = await rows_of("later")
    for name in ("later", "later_seen", "later_abroad"):
        path = f"{name}/items/3"
        await fetch(identities, f"/collections/{path}", 500)
        whole = feature(point(), n=1, word="new")
        for method, body, kind in (
            ("PUT", whole, "application/geo+json"),
            ("PATCH", PATCHED, MERGE_PATCH),
            ("DELETE", None, ""),
        ):
            _, problem = await send(identities, method, path, body, 500, kind=kind)
            assert problem["type"] == "urn:geosvc:problem:repeated-id"
    assert await rows_of("later") == before
    await rows_of.execute("DELETE FROM later_child WHERE k = 3")


async def test_a_write_changes_one_row_where_one_has_the_id(
    identities: Client, rows_of: Rows
) -> None:
    for name, feature_id in (("later", 7), ("later", 2), ("later_seen", 8), ("far_by", 4)):
        relation = "far" if name == "far_by" else "later"
        before = await rows_of(relation)
        await send(
            identities, "PATCH", f"{name}/items/{feature_id}", PATCHED, 204, kind=MERGE_PATCH
        )
        assert (len(before - await rows_of(relation)), len(await rows_of(relation) - before)) == (
            1,
            1,
        )
        await send(identities, "DELETE", f"{name}/items/{feature_id}", None, 204)
        assert (await rows_of(relation)).total() == before.total() - 1


async def test_a_row_abroad_that_shares_its_address_is_left_alone(
    identities: Client, rows_of: Rows
) -> None:
    """Postgres_fdw changes by ctid, and children of the table over there have the same."""
    before = await rows_of("later")
    await send(identities, "PATCH", "later_abroad/items/4", PATCHED, 500, kind=MERGE_PATCH)
    await send(identities, "DELETE", "later_abroad/items/4", None, 500)
    assert await rows_of("later") == before


async def test_an_upsert_needs_a_key_that_an_index_makes_unique(
    identities: Client, rows_of: Rows
) -> None:
    before = await rows_of("trusted")
    body = {"type": "FeatureCollection", "features": [{**feature(point(), n=1), "id": 9}]}
    for name in ("trusted", "parent"):
        _, problem = await send(identities, "POST", f"{name}/items?upsert=true", body, 400)
        assert problem["parameter"] == "upsert"
    assert await rows_of("trusted") == before


async def test_the_extent_of_a_parent_holds_its_children(identities: Client) -> None:
    for name in ("parent", "trusted", "keyless_parent", "parts_whole"):
        collection = await fetch(identities, f"/collections/{name}")
        assert collection["extent"]["spatial"]["bbox"][0][2:] == [9, 9], name
