"""Whose fault a failure is: 4xx only when a value of the request was at fault, else a 5xx whose
place the log tells.
"""

import asyncio

import pytest

from geosvc.events import Event, ValueRefused, subscribe
from tests.conftest import Client, Service, execute, with_database
from tests.http import fetch

# name, type of the stored text, the expression of the view over it, SQLSTATE
VALUES = {
    "number": ("'ca. 5'", "raw::int", "22P02"),
    "big": ("'99999999999'", "raw::int", "22003"),
    "zero": ("'0'", "1 / raw::int", "22012"),
    "moment": ("'31.02.2020'", "raw::date", "22008"),
    "nodate": ("'soon'", "raw::timestamptz", "22007"),
    "truth": ("'perhaps'", "raw::bool", "22P02"),
    "document": ("'{broken'", "raw::jsonb", "22P02"),
    "uuid": ("'no uuid'", "raw::uuid", "22P02"),
    "pattern": ("'(['", "'x' ~ raw", "2201B"),
    "root": ("'-1'", "sqrt(raw::float8)", "2201F"),
    "logarithm": ("'-1'", "ln(raw::float8)", "2201E"),
    "part": ("'-3'", "substring('abc' from 1 for raw::int)", "22011"),
    "xml": ("'<a>'", "raw::xml::text", "2200N"),
    "letter": ("'-5'", "chr(raw::int)", "54000"),
    "several": (
        "'x'",
        "(SELECT v FROM (VALUES (1), (2)) AS s (v) WHERE raw IS NOT NULL AND raw = 'x')",
        "21000",
    ),
    "raised": ("'x'", "complain(raw)", "P0001"),
    "custom": ("'x'", "complain(raw, 'GV001')", "GV001"),
    "external": ("'x'", "complain(raw, '38001')", "38001"),
    "step": ("'0'", "(SELECT count(*) FROM generate_series(1, 2, raw::int))", "22023"),
    "unknown": ("'nowhere'", "raw::regclass::text", "42P01"),
    "role": ("'nobody at all'", "raw::regrole::text", "42704"),
    "words": ("'& &'", "raw::tsquery", "42601"),
    "label": ("'meh'", "raw::mood", "22P02"),
    "checked": ("'-1'", "raw::int::positive", "23514"),
    "scalar": ("'{}'", "(SELECT count(*) FROM jsonb_array_elements(raw::jsonb))", "22023"),
    "bytes": ("'ff'", "convert_from(decode(raw, 'hex'), 'UTF8')", "22021"),
    "nul": (r"""'{"a": "\u0000"}'""", "raw::json->>'a'", "22P05"),
    "zone": ("'Mars/Olympus'", "(timestamptz '2020-01-01' AT TIME ZONE raw)", "22023"),
    "long": ("'2000000000'", "length(repeat('x', raw::int))", "54000"),
}
GOOD = {
    "moment": "2020-01-01",
    "nodate": "2020-01-01",
    "truth": "true",
    "document": "{}",
    "uuid": "8f0e1c7a-2c9b-4d6e-9c3e-0a1b2c3d4e5f",
    "xml": "<a/>",
    "unknown": "pg_class",
    "role": "pg_monitor",
    "label": "ok",
    "scalar": "[1]",
    "bytes": "41",
    "nul": '{"a": "b"}',
    "zone": "UTC",
}
COMPLAIN = """CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION complain(raw text, state text DEFAULT 'P0001') RETURNS text LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN IF raw = 'x' THEN RAISE EXCEPTION 'no' USING ERRCODE = state; END IF; RETURN raw; END $$;"""


def _views() -> str:
    scripts = [COMPLAIN]
    for name, (bad, expression, _) in VALUES.items():
        good = GOOD.get(name, "1")
        scripts.append(
            f"CREATE TABLE t_{name} (id int PRIMARY KEY, kind text, raw text, geom geometry(Point,"
            " 4326));"
            f"INSERT INTO t_{name} SELECT i, 'good', '{good}', ST_SetSRID(ST_Point(i, 1), 4326)"
            " FROM generate_series(1, 9) i;"
            f"UPDATE t_{name} SET raw = {bad}, kind = 'bad' WHERE id = 7;"
            f'CREATE VIEW "{name}" AS SELECT id, kind, {expression} AS value, geom FROM t_{name};'
        )
    return "".join(scripts)


@pytest.fixture(scope="module")
def faulty_url(bare_module_url: str) -> str:
    execute(bare_module_url, _views())
    return bare_module_url


@pytest.fixture
async def faulty(service: Service, faulty_url: str) -> Client:
    return await service(
        faulty_url, tables=[*VALUES], collections={name: {"key": ["id"]} for name in VALUES}
    )


@pytest.mark.parametrize("name", VALUES)
async def test_a_stored_value_that_cannot_be_worked_out_is_a_5xx_which_names_its_place(
    faulty: Client, name: str
) -> None:
    seen: list[Event] = []
    stop = subscribe(seen.append, ValueRefused)
    try:
        problem = await fetch(faulty, f"/collections/{name}/items", status=500)
        await fetch(faulty, f"/collections/{name}/items/7", status=500)
    finally:
        stop()
    assert problem["type"] == "urn:geosvc:problem:unreadable-value"
    assert "value" in problem["detail"]
    assert "feature 7" in problem["detail"]
    first = seen[0]
    assert isinstance(first, ValueRefused)
    assert (first.collection, first.property, first.feature) == (name, "value", "7")
    # the rest is there: other features, other pages, the other properties, the other rows by a
    # filter
    assert (await fetch(faulty, f"/collections/{name}/items/3"))["properties"]["kind"] == "good"
    assert len((await fetch(faulty, f"/collections/{name}/items?limit=5"))["features"]) == 5
    assert len((await fetch(faulty, f"/collections/{name}/items?properties=kind"))["features"]) == 9
    assert len((await fetch(faulty, f"/collections/{name}/items?kind=good"))["features"]) == 8
    await fetch(faulty, f"/collections/{name}/items?kind=bad", status=500)
    await fetch(faulty, f"/collections/{name}/items?filter=kind%3D%27bad%27", status=500)


@pytest.mark.parametrize(
    "filter", ["value = 5", "value * 2 = 5", "value IS NULL", "value IN (1, 2)"]
)
async def test_a_filter_over_a_value_that_cannot_be_worked_out_is_no_fault_of_the_filter(
    faulty: Client, filter: str
) -> None:
    async with faulty.get(
        "/collections/number/items", params={"filter": filter, "properties": "kind"}
    ) as response:
        assert response.status == 500, await response.text()


async def test_a_view_over_a_volatile_function_fails_with_the_place_in_its_order(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        """CREATE FUNCTION complain(n int) RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN IF n = 7 THEN RAISE EXCEPTION 'no'; END IF; RETURN n; END $$;
        CREATE TABLE t (id int PRIMARY KEY, geom geometry(Point, 4326));
        INSERT INTO t SELECT i, ST_SetSRID(ST_Point(1, 1), 4326) FROM generate_series(1, 9) i;
        CREATE VIEW v AS SELECT id, complain(id) AS value, geom FROM t ORDER BY id""",
    )
    client = await service(bare_database_url, collections={"v": {"key": ["id"]}})
    seen: list[Event] = []
    stop = subscribe(seen.append, ValueRefused)
    try:
        await fetch(client, "/collections/v/items", status=500)
    finally:
        stop()
    assert isinstance(seen[0], ValueRefused)
    assert (seen[0].property, seen[0].feature) == (None, "after 6")
    assert (await fetch(client, "/collections/v/items/3"))["properties"]["value"] == 3


async def test_a_wrong_literal_stays_the_clients_beside_a_wrong_row(faulty: Client) -> None:
    for query in ("value=abc", "value=99999999999999", "id=x", "filter=value%3D%27x%27"):
        await fetch(faulty, f"/collections/number/items?{query}", status=400)
    for feature in ("abc", "99999999999999"):
        await fetch(faulty, f"/collections/number/items/{feature}", status=404)


LITERALS = {
    "period": ("", "int4range", "no range"),
    "pair": ("", "point", "nowhere"),
    "span": ("", "interval", "a while"),
    "bits": ("", "bit(3)", "012"),
    "mac": ("", "macaddr", "08:00"),
    "rows": ("", "pg_lsn", "x"),
    "query": ("", "tsquery", "& &"),
    "list": ("", "int[]", "{1,x}"),
}


@pytest.mark.parametrize("name", LITERALS)
async def test_a_literal_that_only_postgresql_can_judge_is_the_clients(
    service: Service, bare_database_url: str, name: str
) -> None:
    setup, kind, text = LITERALS[name]
    await asyncio.to_thread(
        execute,
        bare_database_url,
        f"{setup}; CREATE TABLE t (id int PRIMARY KEY, v {kind}, geom geometry(Point, 4326));"
        "INSERT INTO t SELECT i, NULL, ST_SetSRID(ST_Point(1, 1), 4326) FROM generate_series(1,"
        " 3) i",
    )
    client = await service(bare_database_url)
    async with client.get("/collections/t/items", params={"v": text}) as response:
        assert response.status == 400, await response.text()


async def test_a_function_decides_with_its_arguments(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        """CREATE SCHEMA geosvc_functions;
        CREATE FUNCTION geosvc_functions.near(a int DEFAULT 1) RETURNS TABLE (id int, geom geometry) LANGUAGE plpgsql AS $$
        BEGIN IF a < 0 THEN RAISE EXCEPTION 'negative'; END IF; RETURN QUERY SELECT 6 / a, ST_Point(1, 2); END $$;
        CREATE FUNCTION geosvc_functions.broken(a int DEFAULT 1) RETURNS TABLE (id int, geom geometry) LANGUAGE sql AS
        $$ SELECT ('ca. 5' || a)::int, ST_Point(1, 2) $$;""",
    )
    client = await service(bare_database_url)
    assert len((await fetch(client, "/collections/near/items?a=2"))["features"]) == 1
    for arguments in ("a=-1", "a=0", "a=x"):
        await fetch(client, f"/collections/near/items?{arguments}", status=400)
    await fetch(client, "/collections/broken/items", status=500)


ENCODINGS: dict[str, tuple[str, str]] = {
    "SQL_ASCII": (r"E'caf\xe9'", "500"),
    "LATIN1": (r"E'caf\xe9'", "café"),
    "EUC_JP": (r"E'\xc6\xfc'", "日"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_bytes_of_another_encoding_cost_their_row_alone(
    service: Service, server_url: str, encoding: str
) -> None:
    literal, expected = ENCODINGS[encoding]
    name = f"geosvc_{encoding.lower()}"
    await asyncio.to_thread(execute, server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await asyncio.to_thread(
        execute,
        server_url,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'",
    )
    url = with_database(server_url, name)
    await asyncio.to_thread(
        execute,
        url,
        "SET client_min_messages = warning; CREATE EXTENSION postgis;"
        "CREATE TABLE t (id int PRIMARY KEY, name text, geom geometry(Point, 4326));"
        "INSERT INTO t SELECT i, 'plain', ST_SetSRID(ST_Point(1, 1), 4326) FROM generate_series(1,"
        " 4) i;"
        f"INSERT INTO t VALUES (5, {literal}, NULL)",
    )
    client = await service(url)
    if expected == "500":
        problem = await fetch(client, "/collections/t/items", status=500)
        assert "name" in problem["detail"]
        assert "feature 5" in problem["detail"]
        await fetch(client, "/collections/t/items/5", status=500)
        assert len((await fetch(client, "/collections/t/items?properties=id"))["features"]) == 5
    else:
        page = await fetch(client, "/collections/t/items")
        assert page["features"][4]["properties"]["name"] == expected
    assert len((await fetch(client, "/collections/t/items?limit=3"))["features"]) == 3
    assert (await fetch(client, "/collections/t/items/2"))["properties"]["name"] == "plain"
