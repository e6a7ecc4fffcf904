"""What is said of a bad body: in words of JSON, with the property and the place, and never in those
of our libraries.
"""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.conftest import Client
from tests.posting import (
    GEOJSON,
    MERGE_PATCH,
    feature,
    point,
    problem_of,
    raw_feature,
    send,
    with_tables,
    writable,
)

TABLES = """
CREATE EXTENSION hstore;
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN share AS int CONSTRAINT whole CHECK (VALUE <= 100);
CREATE DOMAIN strict AS text NOT NULL;
CREATE TABLE owners (id int PRIMARY KEY);
CREATE TABLE houses (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL CONSTRAINT one_name UNIQUE, tint colour,
    level int2 NOT NULL DEFAULT 1, big int8, size float8, price numeric(8, 2), code varchar(3), built date, at timestamptz,
    yes bool, tree jsonb, words text[], bytes bytea, address inet, uuid uuid, tags hstore, part share,
    range int4range, owner int CONSTRAINT has_owner REFERENCES owners,
    low int, high int, CONSTRAINT in_order CHECK (low < high),
    CONSTRAINT one_pair UNIQUE (low, high), CONSTRAINT apart EXCLUDE USING gist (range WITH &&),
    doubled float8 GENERATED ALWAYS AS (size * 2) STORED, clock time, weight float4,
    "a/b~c" int CONSTRAINT odd CHECK ("a/b~c" > 0),
    geom geometry(LineString, 4326) NOT NULL CONSTRAINT long_enough CHECK (ST_NPoints(geom) > 1));
CREATE UNIQUE INDEX by_lower ON houses (lower(code));
CREATE VIEW homes AS SELECT id, name, tint, low, high, geom FROM houses;
CREATE TABLE parts (id int, name text, geom geometry(Point, 4326), PRIMARY KEY (id), CONSTRAINT named CHECK (name <> 'x'))
    PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parts DEFAULT;
CREATE UNIQUE INDEX only_here ON part (name);
INSERT INTO houses (name, range, low, high, code, geom)
    VALUES ('taken', '[1,5)', 1, 2, 'abc', 'SRID=4326;LINESTRING(25 60, 26 61)');
INSERT INTO parts VALUES (1, 'taken', NULL);
"""
url = with_tables(TABLES)
client = writable(collections={"homes": {"key": ["id"]}})
ITEMS, ITEM = "houses/items", "houses/items/1"
LINE = {"type": "LineString", "coordinates": [[25, 60], [26, 61]]}
GOOD = feature(LINE, name="new", size=1.5, tree={"a": 1}, yes=True, built="2024-01-01")
FIRST = {**GOOD, "properties": {"name": "first"}}
COLUMNS = (
    "name",
    "tint",
    "level",
    "big",
    "size",
    "price",
    "code",
    "built",
    "at",
    "yes",
    "words",
    "bytes",
    "address",
    "uuid",
    "part",
)
ODD: list[Any] = [
    None,
    1,
    1.5,
    1e300,
    2**70,
    -1,
    "",
    "text",
    "1",
    True,
    [],
    [1],
    {},
    {"a": 1},
    "x" * 300,
]
# of Python, msgspec, SQL and PostGIS
INSIDE = re.compile(
    r"`|\||\b(int|str|float|bool|dict|list|None|NoneType|Raw|regex|enum|msgspec|orjson|asyncpg|"
    r"shapely|lwgeom|liblwgeom|json_to_recordset|EWKB|"
    r"SELECT|INSERT|NULL|jsonb?|int[248]|float[48]|varchar|typmod|SQLSTATE|ERROR)\b"
)


def mutated(body: Any) -> Iterator[Any]:
    """Bodies with one thing wrong, or with nothing wrong by chance."""
    for name in COLUMNS:
        for value in ODD:
            yield {**body, "properties": {**body["properties"], name: value}}
    for name in body:
        yield {other: value for other, value in body.items() if other != name}
        for value in ODD:
            yield {**body, name: value}
    for place in ("type", "coordinates"):
        for value in (
            *ODD,
            [[1]],
            [[1, 2, 3, 4], [1, 2, 3, 5]],
            [[1, 2], [1, 2, 3]],
            [[1, 2]],
            [["a", "b"], [1, 2]],
            "LineStrin",
        ):
            changed = deepcopy(body)
            changed["geometry"][place] = value
            yield changed


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "many"])
async def test_no_message_speaks_of_the_inside(client: Client, method: str) -> None:
    kind = MERGE_PATCH if method == "PATCH" else GEOJSON
    wrong = []
    for body in mutated(GOOD):
        sent = (
            {"type": "FeatureCollection", "features": [FIRST, body]} if method == "many" else body
        )
        verb = "POST" if method == "many" else method
        path = f"{ITEMS}?dry-run=true" if verb == "POST" else f"{ITEM}?dry-run=true"
        async with client.request(
            verb, f"/collections/{path}", data=json.dumps(sent), headers={"Content-Type": kind}
        ) as response:
            problem = json.loads(await response.read() or b"{}")
            if response.status in (200, 204):
                continue
            if "pointer" not in problem:
                wrong.append((str(body)[:200], response.status, problem["detail"]))
                continue
            prefix = "/features/1" if method == "many" else ""
            told = {name: problem.get(name) for name in ("detail", "pointer", "property")}
            if (
                response.status not in (409, 422)
                or INSIDE.search(problem["detail"])
                or not str(problem.get("pointer")).startswith(prefix)
            ) or (
                method != "many"
                and "/properties/" in problem.get("pointer", "")
                and "property" not in problem
            ):
                wrong.append((str(body)[:200], response.status, told))
    assert not wrong, [each[1:] for each in wrong][:40]


BROKEN = [
    ({"name": "taken"}, 409, "/properties/name", ["name"], "one_name"),
    ({"owner": 9}, 409, "/properties/owner", ["owner"], "has_owner"),
    ({"low": 3, "high": 2}, 409, "/properties", ["low", "high"], "in_order"),
    ({"low": 1, "high": 2}, 409, "/properties", ["low", "high"], "one_pair"),
    ({"range": "[2,3)"}, 409, "/properties/range", ["range"], "apart"),
    ({"code": "ABC"}, 409, "/properties/code", ["code"], "by_lower"),
    ({"part": 101}, 409, "/properties/part", ["part"], "whole"),
    ({"a/b~c": 0}, 409, "/properties/a~1b~0c", ["a/b~c"], "odd"),
]


@pytest.mark.parametrize(("properties", "status", "pointer", "names", "constraint"), BROKEN)
async def test_a_rule_of_the_database_names_the_properties_that_break_it(
    client: Client, properties: Any, status: int, pointer: str, names: list[str], constraint: str
) -> None:
    body = feature(LINE, **{"name": "new", **properties})
    problem = await problem_of(
        client, "POST", ITEMS, json.dumps(body).encode(), **{"Content-Type": GEOJSON}
    )
    found = problem.get("properties") or [problem["property"]]
    assert (problem["status"], problem["pointer"], found, problem["constraint"]) == (
        status,
        pointer,
        names,
        constraint,
    )
    many = {"type": "FeatureCollection", "features": [FIRST, body]}
    problem = await problem_of(
        client, "POST", ITEMS, json.dumps(many).encode(), **{"Content-Type": GEOJSON}
    )
    assert (problem["pointer"], problem["index"]) == (f"/features/1{pointer}", 1)
    report = (
        await send(
            client,
            "POST",
            f"{ITEMS}?dry-run=true",
            many,
            200,
            Prefer="handling=lenient, return=representation",
        )
    )[1]
    assert report["rejected"][0]["pointer"] == f"/features/1{pointer}"


async def test_rules_of_partitions_and_of_the_table_behind_a_view_are_named_too(
    client: Client,
) -> None:
    for path, body, name in (
        ("parts/items", {**feature(None, name="x"), "id": 2}, "name"),
        ("parts/items", {**feature(None, name="taken"), "id": 2}, "name"),
        ("parts/items", {**feature(None, name="other"), "id": 1}, "id"),
        ("homes/items", feature(LINE, name="taken"), "name"),
    ):
        assert (await send(client, "POST", path, body, 409))[1]["property"] == name


WORDS: list[tuple[dict[str, Any], str]] = [
    ({"big": True}, "big: expected a whole number or null, got true or false"),
    ({"level": "1"}, "level: expected a whole number or null, got text"),
    ({"name": 5}, "name: expected text, got a whole number"),
    ({"tint": "nope"}, "tint: expected one of: red, green"),
    ({"tint": "gren"}, "tint: expected one of: red, green: did you mean green?"),
    ({"code": "long"}, "code: expected text of at most 3 characters"),
    ({"level": 40_000}, "level: expected a whole number of at most 32767"),
    ({"uuid": "x"}, "uuid: expected a UUID"),
    ({"size": "wide"}, 'size: expected a number, or "NaN", "Infinity" or "-Infinity"'),
    ({"nam": "x"}, "unknown property nam: did you mean name?"),
    (
        {"geom": LINE},
        "unknown property geom: it is the geometry, a member of the feature beside the properties",
    ),
]


@pytest.mark.parametrize(("properties", "words"), WORDS)
async def test_types_and_choices_are_told_in_plain_words(
    client: Client, properties: Any, words: str
) -> None:
    assert (await send(client, "POST", ITEMS, feature(LINE, **{"name": "new", **properties}), 422))[
        1
    ]["detail"] == words


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"tags": [1]}, "tags"),
        ({"tags": "a"}, "tags"),
        ({"tags": 5}, "tags"),
        ({"clock": "25:00"}, "clock"),
        ({"clock": "noon", "weight": 1.5, "tags": {"a": 1}}, "clock"),
        ({"weight": 1e39, "tags": {"a": None}}, "weight"),
        ({"weight": 1e-60}, "weight"),
    ],
)
async def test_a_value_that_the_database_alone_refuses_is_named(
    client: Client, properties: Any, name: str
) -> None:
    good, body = feature(LINE, name="good"), feature(LINE, **{"name": "new", **properties})
    many = {"type": "FeatureCollection", "features": [good, body]}
    for method, path, sent, kind in (
        ("POST", ITEMS, body, GEOJSON),
        ("PUT", ITEM, body, GEOJSON),
        ("PATCH", ITEM, {"properties": properties}, MERGE_PATCH),
        ("POST", ITEMS, many, GEOJSON),
    ):
        problem = (await send(client, method, path, sent, 422, kind=kind))[1]
        assert (problem["property"], problem["pointer"].rpartition("/properties/")[2]) == (
            name,
            name,
        )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "ends too early"),
        (b'{"name": "\xe9"}', "not UTF-8"),
        (b'{"properties": {"name": "\xe9"}}', "not UTF-8"),
        ('{"name": "é"}'.encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "byte order mark"),
        (b"<html>", "does not begin JSON"),
        (b'{"name": "\\ud800"}', "half a character"),
        (b'{"name": NaN}', "invalid character (byte 9)"),
        (b'"POINT(1 2)"', "expected an object, got text"),
        (b"[1]", "expected an object, got an array"),
    ],
)
async def test_what_is_no_json_is_told_in_words_of_json(
    client: Client, body: bytes, words: str
) -> None:
    for method, path, kind in (
        ("POST", ITEMS, GEOJSON),
        ("PUT", ITEM, GEOJSON),
        ("PATCH", ITEM, MERGE_PATCH),
        ("POST", "houses/search", "application/json"),
    ):
        problem = await problem_of(client, method, path, body, **{"Content-Type": kind})
        assert problem["status"] in (400, 422)
        assert words in problem["detail"], (method, path)


SHAPES = [
    ([[1, 2, 3], [1, 2]], "has positions with heights and without"),
    ([[1, 2], [1, 2, 3]], "has positions with heights and without"),
    ([[1, 2, 3, 4], [1, 2, 3, 5]], "has a position of length 4"),
    ([[1, "2"], [1, 3]], "has a value in a position that is not a number"),
]


@pytest.mark.parametrize(("coordinates", "words"), SHAPES)
async def test_a_geometry_is_refused_for_its_true_reason(
    client: Client, coordinates: Any, words: str
) -> None:
    shape = {"type": "LineString", "coordinates": coordinates}
    problem = (await send(client, "POST", ITEMS, feature(shape, name="new"), 422))[1]
    assert words in problem["detail"]
    assert problem["pointer"].startswith("/geometry/coordinates")
    problem = (
        await send(
            client, "POST", "houses/search", {"geometry": shape}, 422, kind="application/json"
        )
    )[1]
    assert words in problem["detail"]


async def test_a_search_says_why_it_takes_no_collection(client: Client) -> None:
    body = {"geometry": {"type": "FeatureCollection", "features": [GOOD]}}
    problem = (await send(client, "POST", "houses/search", body, 422, kind="application/json"))[1]
    assert "not a FeatureCollection" in problem["detail"]
    assert problem["pointer"] == "/geometry/type"


@pytest.mark.parametrize(
    ("path", "status", "near"),
    [
        ("house/items", 404, "houses"),
        ("houses/items?filter=nam%3D'a'", 400, "name"),
        ("houses/items?filter=lenght(name)%3D1", 400, None),
        ("houses/items?nam=a", 400, "name"),
        ("houses/items?limt=1", 400, "limit"),
        ("houses/items?sortby=-nam", 400, "name"),
        ("houses/items?properties=nam", 400, "name"),
        ("houses/items/1?precison=3", 400, "precision"),
        ("houses?ff=json", 400, None),
        ("houses/items?zzzzzzzzzz=1", 400, None),
    ],
)
async def test_names_that_are_near_are_told(
    client: Client, path: str, status: int, near: str | None
) -> None:
    detail = (await send(client, "GET", path, status=status))[1]["detail"]
    assert (f"did you mean {near}?" in detail) if near else ("did you mean zz" not in detail)


async def test_a_property_of_a_patch_outside_its_properties_is_refused_not_passed_over(
    client: Client,
) -> None:
    problem = (await send(client, "PATCH", ITEM, {"name": "other"}, 422, kind=MERGE_PATCH))[1]
    assert problem["pointer"] == "/name"
    assert "member properties" in problem["detail"]
    for body in ({"mine": 1}, {"bbox": None}, {"name": "other", "properties": {"level": 2}}, {}):
        await send(client, "PATCH", ITEM, body, 204, kind=MERGE_PATCH)


async def test_a_dry_run_has_no_place_and_no_tag(client: Client) -> None:
    for method, path, kind in (
        ("POST", ITEMS, GEOJSON),
        ("PUT", ITEM, GEOJSON),
        ("PATCH", ITEM, MERGE_PATCH),
    ):
        headers, _ = await send(client, method, f"{path}?dry-run=true", GOOD, 200, kind=kind)
        assert not {"Location", "ETag", "Last-Modified"} & set(headers)


async def test_ids_are_as_in_get_and_one_upserted_feature_has_its_place(client: Client) -> None:
    many = {"type": "FeatureCollection", "features": [GOOD]}
    (own_id,) = (await send(client, "POST", ITEMS, many, 201))[1]["ids"]
    assert (await send(client, "GET", f"{ITEMS}/{own_id}"))[1]["id"] == own_id
    for status in (201, 200):
        body = {**feature(LINE, name="upserted"), "id": 77}
        headers, _ = await send(client, "POST", f"{ITEMS}?upsert=true", body, status)
        assert headers["Location"].endswith("/houses/items/77")


async def test_options_tell_all_that_is_taken(client: Client) -> None:
    headers, _ = await send(client, "OPTIONS", ITEMS)
    for kind in headers["Accept-Post"].split(", "):
        sequence = "seq" in kind or "nd" in kind or "line" in kind or "jsonl" in kind
        body = json.dumps({**GOOD, "properties": {"name": kind}}).encode()
        await send(client, "POST", ITEMS, b"\x1e" + body if "seq" in kind else body, 201, kind=kind)
        assert sequence == (kind not in ("application/geo+json", "application/json"))
    headers, _ = await send(client, "OPTIONS", ITEM)
    for kind in headers["Accept-Patch"].split(", "):
        await send(client, "PATCH", ITEM, {"properties": {"level": 7}}, 204, kind=kind)


async def test_a_weak_tag_is_told_for_what_it_is(client: Client) -> None:
    etag = (await send(client, "GET", ITEM, Accept_Encoding="identity"))[0]["ETag"]
    for tag in (f"W/{etag}", f'"x", W/{etag}', f'W/{etag[:-1]}-gzip"'):
        problem = (await send(client, "PUT", ITEM, feature(LINE, name="mine"), 412, If_Match=tag))[
            1
        ]
        assert "weak" in problem["detail"]
    problem = (
        await send(client, "PUT", ITEM, feature(LINE, name="mine"), 412, If_Match='W/"other"')
    )[1]
    assert "another client" in problem["detail"]
    assert b'"taken"' in await raw_feature(client, ITEM)


async def test_only_preferences_that_made_a_difference_are_claimed(client: Client) -> None:
    many = {"type": "FeatureCollection", "features": [GOOD]}
    prefer = "return=representation, handling=strict"
    headers, _ = await send(client, "POST", ITEMS, many, 201, Prefer=prefer)
    assert (headers["Preference-Applied"], headers["Vary"]) == ("handling=strict", "Prefer")
    headers, _ = await send(client, "PUT", ITEM, feature(LINE, name="mine"), 200, Prefer=prefer)
    assert headers["Preference-Applied"] == "return=representation, handling=strict"
    for method, path, body, status in (
        ("POST", ITEMS, feature(LINE, name="x", no=1), 422),
        ("POST", ITEMS, b"{", 400),
        ("PUT", ITEM, feature(LINE, name="x", no=1), 422),
        ("PUT", f"{ITEMS}/999", feature(LINE, name="x"), 404),
    ):
        headers, _ = await send(client, method, path, body, status, Prefer=prefer)
        assert (headers["Preference-Applied"], headers["Vary"]) == ("handling=strict", "Prefer")
    headers, _ = await send(client, "DELETE", ITEM, status=204, Prefer="return=representation")
    assert "Preference-Applied" not in headers
    headers, _ = await send(client, "POST", ITEMS, point(), 422)
    assert "Preference-Applied" not in headers
