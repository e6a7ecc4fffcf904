"""Posted values of composite types: members that the type has not are refused, where PostgreSQL
would pass over them.
"""

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.conftest import Client
from tests.posting import MERGE_PATCH, feature, point, send, with_tables, writable

TABLE = """
CREATE TYPE part AS (label text, amount numeric, "a/b" int);
CREATE DOMAIN checked AS part;
CREATE TYPE whole AS (first part, rest part[], checked checked, tree jsonb);
CREATE TABLE things (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, part part, parts part[], checked checked, whole whole,
    numbers int[], geom geometry(Point, 4326));
INSERT INTO things DEFAULT VALUES;
"""
url = with_tables(TABLE)
client = writable()
GOOD: dict[str, Any] = {
    "part": {"label": "x", "amount": 1e300, "a/b": 1},
    "parts": [[{"label": "x"}, None]],
    "checked": {"amount": 1},
    "whole": {
        "first": {"label": "x"},
        "rest": [{"amount": 2}],
        "checked": {},
        "tree": {"anything": 1},
    },
    "numbers": [1],
}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"part": {"amont": 1}}, "part: unknown member amont: did you mean amount?", "/part/amont"),
    ({"part": {"label": "x", "zzz": None}}, "part: unknown member zzz", "/part/zzz"),
    ({"part": {"A/b": 1}}, "part: unknown member A/b: did you mean a/b?", "/part/A~1b"),
    (
        {"parts": [[{"label": "x"}, {"lable": "x"}]]},
        "parts: unknown member lable: did you mean label?",
        "/parts/0/1/lable",
    ),
    (
        {"checked": {"amont": 1}},
        "checked: unknown member amont: did you mean amount?",
        "/checked/amont",
    ),
    (
        {"whole": {"frist": {}}},
        "whole: unknown member frist: did you mean first?",
        "/whole/frist",
    ),
    ({"whole": {"rest": [{}, {"q": 1}]}}, "whole: unknown member q", "/whole/rest/1/q"),
    ({"whole": {"checked": {"q": 1}}}, "whole: unknown member q", "/whole/checked/q"),
]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "many"])
async def test_an_unknown_member_is_refused_with_its_place_and_the_nearest(
    client: Client, method: str
) -> None:
    for properties, detail, pointer in WRONG:
        body: Any = feature(point(), **GOOD | properties)
        if method == "many":
            body = {"type": "FeatureCollection", "features": [feature(point(), **GOOD), body]}
        verb, path = (
            ("POST", "things/items") if method in ("POST", "many") else (method, "things/items/1")
        )
        kind = {"kind": MERGE_PATCH} if method == "PATCH" else {}
        _, problem = await send(client, verb, path, body, 422, **kind)
        begin = "/features/1" if method == "many" else ""
        assert (problem["detail"], problem["pointer"]) == (detail, f"{begin}/properties{pointer}")


async def test_known_members_are_stored_and_lenient_handling_passes_over_others(
    client: Client,
) -> None:
    headers, _ = await send(client, "POST", "things/items", feature(point(), **GOOD), 201)
    _, stored = await send(client, "GET", headers["Location"].partition("/collections/")[2])
    assert stored["properties"]["whole"]["first"] == {"label": "x", "amount": None, "a/b": None}
    wrong = feature(point(), part={"label": "x", "amont": 1})
    await send(client, "POST", "things/items", wrong, 201, Prefer="handling=lenient")


async def test_a_member_that_a_type_gets_is_taken(client: Client, url: str) -> None:
    body = feature(point(), part={"more": 1})
    await send(client, "POST", "things/items", body, 422)
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER TYPE part ADD ATTRIBUTE more int")
    await connection.close()
    async with asyncio.timeout(10):
        while (await send(client, "POST", "things/items", body, None))[1] is not None:
            await asyncio.sleep(0.05)
