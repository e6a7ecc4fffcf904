"""What a column has no room for is refused with what it takes, and nothing is cut off without a
word.
"""

import json
from typing import Any

import pytest

from tests.conftest import Client
from tests.posting import GEOJSON, MERGE_PATCH, feature, send, with_tables, writable

TABLES = """
CREATE TABLE limits (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, price numeric(6, 2), whole numeric(4),
    tens numeric(3, -1), small numeric(2, 4), weight float4, label name, letter "char", labels name[], letters "char"[],
    flags bit(4), somebits varbit(4), code char(3), short varchar(3), shorts varchar(3)[], geom geometry);
INSERT INTO limits (label) VALUES ('first');
CREATE TABLE named (label name PRIMARY KEY, geom geometry);
CREATE TABLE lettered (letter "char" PRIMARY KEY, geom geometry);
"""
url = with_tables(TABLES)
client = writable()
REAL = "1.4e-45 and 3.4028235e38"
BEYOND: list[tuple[str, Any, str]] = [
    (
        "price",
        12345,
        "rounded to 2 digits behind the point, is greater than -10000 and less than 10000",
    ),
    ("price", -10000, "greater than -10000"),
    ("price", 9999.995, "less than 10000"),
    ("price", "9999.995", "less than 10000"),
    ("price", "Infinity", "less than 10000"),
    ("price", 1e300, "less than 10000"),
    ("whole", 9999.5, "greater than -10000 and less than 10000"),
    ("tens", 9995, "less than 10000"),
    ("small", 0.01, "less than 0.01"),
    ("weight", 1e300, REAL),
    ("weight", -3.5e38, REAL),
    ("weight", 1e-300, REAL),
    ("label", "x" * 64, "at most 63 bytes"),
    ("label", "é" * 32, "at most 63 bytes"),
    ("letter", "ab", "a single letter"),
    ("letter", "é", "a single letter"),
    ("letter", 12, "a single letter"),
    ("labels", ["a", None, "x" * 64], "at most 63 bytes"),
    ("letters", [["a", "bc"]], "a single letter"),
    ("flags", "10101", ""),
    ("flags", "101", ""),
    ("somebits", "10101", ""),
    ("code", "long", "at most 3 characters"),
    ("short", "long", "at most 3 characters"),
    ("shorts", ["long"], ""),
]
WITHIN: list[tuple[str, Any, Any]] = [
    ("price", 9999.994, 9999.99),
    ("price", "NaN", "NaN"),
    ("whole", 9999.4, 9999),
    ("tens", 9994, 9990),
    ("small", 0.0099, 0.0099),
    ("weight", 3.4028235e38, 3.4028235e38),
    ("weight", "Infinity", "Infinity"),
    ("weight", 1.4e-45, 1e-45),
    ("label", "x" * 63, "x" * 63),
    ("label", "é" * 31, "é" * 31),
    ("letter", "a", "a"),
    ("letter", None, None),
    ("labels", ["x" * 63, None], ["x" * 63, None]),
    ("letters", ["a", None], ["a", None]),
]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "many"])
async def test_what_has_no_room_is_refused_with_what_the_column_takes(
    client: Client, method: str
) -> None:
    wrong = []
    for name, value, words in BEYOND:
        one: Any = feature(None, **{name: value})
        body = {"type": "FeatureCollection", "features": [one]} if method == "many" else one
        verb = "POST" if method == "many" else method
        path, kind = (
            "limits/items" if verb == "POST" else "limits/items/1",
            MERGE_PATCH if verb == "PATCH" else GEOJSON,
        )
        async with client.request(
            verb, f"/collections/{path}", data=json.dumps(body), headers={"Content-Type": kind}
        ) as response:
            problem = json.loads(await response.read() or b"{}")
            place = f"{'/features/0' if method == 'many' else ''}/properties/{name}"
            if (response.status, problem.get("pointer")) != (422, place) or words not in problem[
                "detail"
            ]:
                wrong.append((name, value, words, response.status, problem))
    assert not wrong


async def test_what_just_fits_is_stored(client: Client) -> None:
    for name, value, stored in WITHIN:
        await send(client, "PUT", "limits/items/1", feature(None, **{name: value}), 204)
        assert (await send(client, "GET", "limits/items/1"))[1]["properties"][name] == stored, (
            name,
            value,
        )


async def test_a_key_is_not_cut_off_either(client: Client) -> None:
    for table, good, bad in (("named", "x" * 63, "x" * 64), ("lettered", "a", "ab")):
        await send(client, "POST", f"{table}/items", {**feature(None), "id": good}, 201)
        await send(client, "POST", f"{table}/items", {**feature(None), "id": bad}, 422)
        await send(client, "GET", f"{table}/items/{bad}", status=404)
        await send(client, "DELETE", f"{table}/items/{bad}", status=404)
        assert (await send(client, "GET", f"{table}/items"))[1]["numberReturned"] == 1


BOM = b"\xef\xbb\xbf"


async def test_a_byte_order_mark_is_passed_over(client: Client) -> None:
    whole = json.dumps(feature(None, short="a")).encode()
    await send(client, "POST", "limits/items", BOM + whole, 201)
    await send(client, "PUT", "limits/items/1", BOM + whole, 204)
    await send(
        client,
        "PATCH",
        "limits/items/1",
        BOM + b'{"properties":{"short":"b"}}',
        204,
        kind=MERGE_PATCH,
    )
    await send(
        client,
        "POST",
        "limits/items",
        BOM + b'{"type":"FeatureCollection","features":[%b]}' % whole,
        201,
    )
    await send(client, "POST", "limits/search", BOM + b'{"limit":1}')


async def test_a_geometry_or_a_feature_as_the_body_of_a_search_is_told_what_is_wanted(
    client: Client,
) -> None:
    shape = {"type": "Point", "coordinates": [25, 60]}
    for body in (
        shape,
        feature(shape),
        {"type": "FeatureCollection", "features": []},
        {"type": "Polygon"},
    ):
        problem = (await send(client, "POST", "limits/search", body, 400))[1]
        assert (
            f"the body is a {body['type']}; a search is an object that has it" in problem["detail"]
        ), problem
