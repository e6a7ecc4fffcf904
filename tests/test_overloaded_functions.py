"""Functions of one name, each of which is a collection."""

import pytest

from tests.conftest import Service
from tests.http import fetch
from tests.posting import with_tables

SQL = """
CREATE SCHEMA geosvc_functions;
CREATE TABLE public.near (id int PRIMARY KEY, geom geometry(Point, 4326));
CREATE FUNCTION geosvc_functions.made(a int) RETURNS TABLE (what text, geom geometry) LANGUAGE sql
  AS 'SELECT ''one'', ST_SetSRID(ST_Point(a, a), 4326)';
CREATE FUNCTION geosvc_functions.made(a int, b int) RETURNS TABLE (what text, geom geometry) LANGUAGE sql
  AS 'SELECT ''two'', ST_SetSRID(ST_Point(a, b), 4326)';
CREATE FUNCTION geosvc_functions.made(a text) RETURNS TABLE (what text, geom geometry) LANGUAGE sql
  AS 'SELECT ''text'', ST_SetSRID(ST_Point(1, 1), 4326)';
CREATE FUNCTION geosvc_functions.near(x int) RETURNS TABLE (what text, geom geometry) LANGUAGE sql
  AS 'SELECT ''near'', ST_SetSRID(ST_Point(x, x), 4326)';
"""

TWINS = [
    ("f", "a int", "a int, b int DEFAULT 3"),
    ("h", "", "b int DEFAULT 3"),
    ("s", "b text", "a int DEFAULT 1, b text DEFAULT 'x'"),
]
SQL += "".join(
    f"CREATE FUNCTION geosvc_functions.twin_{name}({arguments}) RETURNS TABLE (what text, geom"
    " geometry) LANGUAGE sql"
    f" AS 'SELECT ''{what}'', ST_SetSRID(ST_Point(1, 1), 4326)';"
    for name, *both in TWINS
    for what, arguments in zip(("fewer", "more"), both, strict=True)
)

url = with_tables(SQL)


async def test_each_is_a_collection_that_calls_its_own(service: Service, url: str) -> None:
    client = await service(url)
    listed = await fetch(client, "/collections")
    assert {each["id"] for each in listed["collections"]} >= {
        "made",
        "made-a",
        "made-a-b",
        "near",
        "near-x",
    }
    calls = {
        "made?a=1": "one",
        "made-a-b?a=1&b=3": "two",
        "made-a?a=x": "text",
        "near-x?x=1": "near",
    }
    for call, what in calls.items():
        name, _, query = call.partition("?")
        page = await fetch(client, f"/collections/{name}/items?{query}")
        assert [each["properties"]["what"] for each in page["features"]] == [what]


@pytest.mark.parametrize(
    ("call", "both"),
    [
        ("twin_f/items?a=1", ("twin_f(a integer)", "twin_f(a integer, b integer)")),
        ("twin_h/items", ("twin_h()", "twin_h(b integer)")),
        ("twin_s/items?b=x", ("twin_s(b text)", "twin_s(a integer, b text)")),
    ],
)
async def test_one_that_postgresql_cannot_tell_from_another_is_refused_with_both(
    service: Service, url: str, call: str, both: tuple[str, str]
) -> None:
    client = await service(url)
    told = await fetch(client, f"/collections/{call}", 500)
    assert told["type"] == "urn:geosvc:problem:collection-broken"
    assert all(f"geosvc_functions.{each}" in told["detail"] for each in both), told["detail"]


@pytest.mark.parametrize(
    "call", ["twin_f-a-b/items?a=1&b=2", "twin_h-b/items?b=2", "twin_s-a-b/items?a=1&b=x"]
)
async def test_the_one_with_more_arguments_can_be_called(
    service: Service, url: str, call: str
) -> None:
    page = await fetch(await service(url), f"/collections/{call}")
    assert [each["properties"]["what"] for each in page["features"]] == ["more"]
