"""Values of every type that are written: they come back as they were sent."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Client, Service, execute
from tests.posting import (
    GEOJSON,
    MERGE_PATCH,
    feature,
    place_of,
    point,
    raw_feature,
    raw_properties,
    send,
)

ITEMS = "nasty_types/items"
LABELS = ["ordinary", "largest", "smallest", "infinite", "beyond the calendar", "all null"]
TABLE = """
CREATE TYPE colour AS ENUM ('red', 'green, "blue"');
CREATE DOMAIN percentage AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE pair AS (label text, amount numeric);
CREATE TABLE kinds (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, whole int8, digits numeric, bytes bytea, tree jsonb, written json,
    numbers int[], words text[], tint colour, tints colour[], range int4range, days daterange, day date, at timestamptz,
    span interval, host inet, code uuid, real float4, double float8, share percentage, yes bool, short varchar(3),
    object oid, two pair,
    geom geometry);
CREATE TABLE documents (id text PRIMARY KEY, tree jsonb, written json, geom geometry);
"""
WRITTEN = [
    ("whole", "9007199254740993", "9007199254740993"),
    ("whole", '"9223372036854775807"', "9223372036854775807"),
    ("whole", "-9223372036854775808", "-9223372036854775808"),
    ("digits", "1234567890123456789.012345678900", "1234567890123456789.012345678900"),
    ("digits", '"0.10"', "0.10"),
    ("digits", '"NaN"', '"NaN"'),
    ("digits", '"-Infinity"', '"-Infinity"'),
    ("bytes", '"AP9/"', '"AP9/"'),
    ("bytes", '""', '""'),
    ("tree", '{"a": [1, {"b": null}], "big": 123456789012345678901234567890}', None),
    ("tree", '"text"', '"text"'),
    ("tree", "[]", "[]"),
    ("written", '[{"b":1,  "a":2, "b":3}]', '[{"b":1,  "a":2, "b":3}]'),
    ("numbers", "[1,null,-3]", "[1,null,-3]"),
    ("numbers", "[]", "[]"),
    ("numbers", "[[1,2],[3,4]]", "[[1,2],[3,4]]"),
    ("words", '["a,b","c\\"d",null,"NULL","","{}"]', '["a,b","c\\"d",null,"NULL","","{}"]'),
    ("tint", '"green, \\"blue\\""', '"green, \\"blue\\""'),
    ("tints", '["red",null]', '["red",null]'),
    ("range", '"[1,5)"', '"[1,5)"'),
    ("range", '"[1,4]"', '"[1,5)"'),
    ("range", '"empty"', '"empty"'),
    ("days", '"[2024-01-01,infinity)"', '"[2024-01-01,infinity)"'),
    ("day", '"infinity"', '"infinity"'),
    ("day", '"2024-02-29"', '"2024-02-29"'),
    ("at", '"2024-02-29T12:00:00.123456+02:00"', '"2024-02-29T10:00:00.123456+00:00"'),
    ("at", '"-infinity"', '"-infinity"'),
    ("span", '"P1Y2M3DT4H"', '"P1Y2M3DT4H"'),
    ("span", '"-1 day 00:00:01"', '"P-1DT1S"'),
    ("host", '"192.168.1.5/24"', '"192.168.1.5/24"'),
    ("host", '"::1"', '"::1"'),
    ("code", '"6F1B2C3D-4E5F-4A6B-8C7D-9E0F1A2B3C4D"', '"6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"'),
    ("real", "0.1", "0.1"),
    ("double", "5e-324", "5e-324"),
    ("double", '"NaN"', '"NaN"'),
    ("share", "99.50", "99.50"),
    ("yes", "false", "false"),
    ("short", '"日本語"', '"日本語"'),
    ("object", "4294967295", '"4294967295"'),
    ("two", '{"label":"a, b","amount":1.50}', '{"label":"a, b","amount":1.50}'),
]


@pytest.fixture
async def nasty_writer(service: Service, nasty_database_url: str) -> Client:
    """The nasty tables, to write to."""
    return await service(nasty_database_url, writable=("*",))


@pytest.fixture
def kinds_url(bare_database_url: str) -> str:
    """A table with a column of each kind."""
    execute(bare_database_url, TABLE)
    return bare_database_url


@pytest.fixture
async def kinds(service: Service, kinds_url: str) -> Client:
    """The same, served."""
    return await service(kinds_url, writable=("*",))


async def of_label(client: Client, label: str) -> bytes:
    """The feature of a row of `nasty_types`."""
    _, page = await send(client, "GET", f"{ITEMS}?label={label}")
    return await raw_feature(client, f"{ITEMS}/{page['features'][0]['id']}")


def without_own(properties: bytes) -> bytes:
    """What may be written of the properties of `nasty_types`: neither the key nor what is
    generated.
    """
    return re.sub(rb',"generated":[^,}]*', b"", re.sub(rb'^\{"id":\d+,', b"{", properties))


def exact(text: bytes) -> Any:
    """JSON with its digits, its repeated keys and the order of its members."""
    return json.loads(
        text, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=tuple
    )


@pytest.mark.parametrize("label", LABELS)
async def test_what_was_read_of_every_type_can_be_written_and_is_the_same(
    nasty_writer: Client, label: str
) -> None:
    before = await of_label(nasty_writer, label)
    geometry = json.dumps(json.loads(before)["geometry"]).encode()
    properties = without_own(raw_properties(before)).replace(
        b"\\ud800", b"half a character is no JSON of ours"
    )
    body = b'{"type":"Feature","geometry":%b,"properties":%b}' % (geometry, properties)
    path = place_of((await send(nasty_writer, "POST", ITEMS, body, 201))[0])
    assert exact(without_own(raw_properties(await raw_feature(nasty_writer, path)))) == exact(
        properties
    )
    other = place_of(
        (await send(nasty_writer, "POST", ITEMS, feature(None, label="other"), 201))[0]
    )
    await send(nasty_writer, "PUT", other, body, 204)
    assert exact(without_own(raw_properties(await raw_feature(nasty_writer, other)))) == exact(
        properties
    )
    await send(
        nasty_writer, "PATCH", path, b'{"properties":%b}' % properties, 204, kind=MERGE_PATCH
    )
    # a merge patch knows no repeated keys
    if label != "largest":
        assert json.loads(await raw_feature(nasty_writer, path))["properties"] == {
            **json.loads(before)["properties"],
            "id": int(path.rpartition("/")[2]),
        }


async def test_every_value_comes_back_as_it_was_meant(kinds: Client) -> None:
    """By POST, PUT and PATCH."""
    wrong = []
    for name, sent, stored in WRITTEN:
        body = b'{"type":"Feature","geometry":null,"properties":{"%b":%b}}' % (
            name.encode(),
            sent.encode(),
        )
        path = place_of((await send(kinds, "POST", "kinds/items", body, 201))[0])
        for method, kind in (("GET", ""), ("PUT", GEOJSON), ("PATCH", MERGE_PATCH)):
            if method != "GET":
                async with kinds.request(
                    method, f"/collections/{path}", data=body, headers={"Content-Type": kind}
                ) as response:
                    if response.status != 204:
                        wrong.append((method, name, sent, await response.text()))
            found = (
                raw_properties(await raw_feature(kinds, path)).decode().partition(f'"{name}":')[2]
            )
            same = (
                found.startswith(stored)
                if stored
                else json.JSONDecoder().raw_decode(found)[0] == json.loads(sent)
            )
            if method == "PATCH" and found.startswith("{"):  # merged, and so written anew
                same = json.JSONDecoder().raw_decode(found)[0] == json.loads(sent)
            if not same:
                wrong.append((method, name, sent, found))
    assert not wrong


async def test_an_oid_is_taken_as_the_text_that_it_is_read_as(kinds: Client) -> None:
    path = place_of(
        (await send(kinds, "POST", "kinds/items", feature(None, object="4294967295"), 201))[0]
    )
    assert (await send(kinds, "GET", path))[1]["properties"]["object"] == "4294967295"


async def test_bigints_are_text_for_those_who_want_it_and_can_be_sent_back_so(
    kinds: Client,
) -> None:
    body = feature(None, whole="9223372036854775807", digits="0.10")
    path = place_of((await send(kinds, "POST", "kinds/items", body, 201))[0])
    _, read = await send(kinds, "GET", f"{path}?bigint=string")
    assert (read["properties"]["whole"], read["properties"]["digits"]) == (
        "9223372036854775807",
        "0.10",
    )


async def test_null_is_kept_and_is_not_the_same_as_null_within_json(kinds: Client) -> None:
    path = place_of(
        (await send(kinds, "POST", "kinds/items", feature(point(), tree=None, whole=None), 201))[0]
    )
    _, read = await send(kinds, "GET", path)
    assert set(read["properties"].values()) == {None, read["id"]}


@pytest.mark.parametrize(
    "number", ["123456789012345678901234567890", "0.1234567890123456789012345", "1e400"]
)
@pytest.mark.parametrize("column", ["tree", "written"])
async def test_a_merged_number_keeps_its_digits(kinds: Client, number: str, column: str) -> None:
    await send(
        kinds, "POST", "documents/items", {**feature(None, tree={}, written={}), "id": "one"}, 201
    )
    patch = b'{"properties":{"%b":{"n":%b}}}' % (column.encode(), number.encode())
    await send(kinds, "PATCH", "documents/items/one", patch, 204, kind=MERGE_PATCH)
    found = json.loads(
        await raw_feature(kinds, "documents/items/one"), parse_int=Decimal, parse_float=Decimal
    )
    assert found["properties"][column]["n"] == Decimal(number)


def within(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values, lists of them and objects of them."""
    names = st.sampled_from(["a", "b", "c d", "", "é", "$1"])
    return inner | st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)


texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=5)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64) | texts
json_values = within(within(within(scalars)))


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396 2, word for word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(target=json_values, patch=json_values, column=st.sampled_from(["tree", "written"]))
async def test_json_columns_are_merged_as_rfc_7396_says(
    kinds: Client, target: Any, patch: Any, column: str
) -> None:
    path = "documents/items/one"
    await send(kinds, "DELETE", path, status=None)
    await send(
        kinds, "POST", "documents/items", {**feature(None, **{column: target}), "id": "one"}, 201
    )
    await send(kinds, "PATCH", path, {"properties": {column: patch}}, 204, kind=MERGE_PATCH)
    _, read = await send(kinds, "GET", path)
    assert read["properties"][column] == merged(target, patch)
