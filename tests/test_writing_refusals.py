"""Bad requests to write: each has its status, slug and place, none is a 500, and no answer holds
SQL.
"""

import gzip
import json
from typing import Any

import pytest

from geosvc.events import WriteFailed
from tests.conftest import Client, Service
from tests.observing import seen
from tests.posting import (
    GEOJSON,
    MERGE_PATCH,
    OURS,
    feature,
    point,
    problem_of,
    send,
    with_tables,
    writable,
)

TABLE = """
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TABLE houses (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, tint colour, level int2 NOT NULL DEFAULT 1, big int8,
    size float8, price numeric(8, 2), code varchar(3), built date, at timestamptz, yes bool, tree jsonb, words text[],
    bytes bytea, part tsvector, path jsonpath, class regclass, range int4range, address inet, uuid uuid,
    doubled float8 GENERATED ALWAYS AS (size * 2) STORED, secret text, geom geometry(Polygon, 4326) NOT NULL);
INSERT INTO houses (name, geom) VALUES ('first', ST_MakeEnvelope(25, 60, 26, 61, 4326));
CREATE TABLE anything (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, geom geometry);
CREATE TABLE multi (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, geom geometry(MultiPolygon, 4326));
CREATE TABLE high (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, geom geometry(PointZ, 4326));
"""
ITEMS, ITEM = "houses/items", "houses/items/1"
RING = [[25, 60], [26, 60], [26, 61], [25, 61], [25, 60]]
BOW_TIE = [[25, 60], [26, 61], [26, 60], [25, 61], [25, 60]]


def polygon(*rings: Any) -> dict[str, Any]:
    """A polygon, of one square without rings."""
    return {"type": "Polygon", "coordinates": list(rings) or [RING]}


def house(**properties: Any) -> dict[str, Any]:
    """A good feature, with properties of its own."""
    return feature(polygon(), **{"name": "new", **properties})


def shaped(geometry: Any) -> dict[str, Any]:
    """A good feature, but for its geometry."""
    return feature(geometry, name="new")


url = with_tables(TABLE)
client = writable(
    collections={"houses": {"read_only": ["secret"]}}, max_feature_bytes=200_000, max_vertices=1_000
)


async def fault(
    client: Client, method: str, path: str, body: bytes, kind: str
) -> tuple[int, str, str]:
    """Status, pointer and detail of an answer; it tells nothing of the inside."""
    async with client.request(
        method, f"/collections/{path}", data=body, headers={"Content-Type": kind}
    ) as response:
        text = await response.read()
        assert not OURS.search(text), text
        found: dict[str, Any] = json.loads(text) if text else {}
        return response.status, found.get("pointer", ""), found.get("detail", "")


IN_WORDS = [
    # a feature that is none: pointer, words in the detail
    ({}, "", "type is missing"),
    ([], "", "expected an object"),
    ("text", "", "expected an object"),
    (None, "", "expected an object"),
    ({"type": "Feature"}, "", "is missing"),
    ({"type": "Feature", "geometry": polygon()}, "", "properties is missing"),
    ({"type": "Feature", "properties": {"name": "x"}}, "", "geometry is missing"),
    ({"type": "feature", "geometry": None, "properties": None}, "/type", ""),
    ({**house(), "properties": []}, "/properties", "expected an object"),
    ({**house(), "properties": "x"}, "/properties", "expected an object"),
    ({**house(), "properties": None}, "/properties", "name is missing"),
    # properties
    (feature(polygon()), "/properties", "name is missing"),
    (house(owner="x"), "/properties/owner", "unknown property owner"),
    (house(**{"a/b~c": 1}), "/properties/a~1b~0c", "unknown property"),
    (house(**{"x`y": 1}), "/properties/x`y", "unknown property"),
    (house(id=7), "/properties/id", "id is "),
    (house(doubled=7), "/properties/doubled", "doubled is read-only"),
    (house(secret="x"), "/properties/secret", "secret is read-only"),
    (house(geom="x"), "/properties/geom", "geom"),
    (house(name=None), "/properties/name", "expected text"),
    (house(name=5), "/properties/name", "expected text"),
    (house(name={"a": 1}), "/properties/name", "expected text"),
    (house(name="a\0b"), "/properties/name", "NUL"),
    (house(tint="blue"), "/properties/tint", "expected one of: red, green"),
    (house(tint=1), "/properties/tint", ""),
    (house(level="1"), "/properties/level", "expected a whole number"),
    (house(level=1.5), "/properties/level", "expected a whole number"),
    (house(level=True), "/properties/level", "expected a whole number"),
    (house(level=40_000), "/properties/level", "at most 32767"),
    (house(big=2**63), "/properties/big", ""),
    (house(big="99999999999999999999"), "/properties/big", ""),
    (house(big=str(2**63)), "/properties/big", ""),
    (house(size="wide"), "/properties/size", ""),
    (house(price="many"), "/properties/price", ""),
    (house(code="long"), "/properties/code", "at most 3 characters"),
    (house(built="2023-02-29"), "/properties/built", ""),
    (house(built="never"), "/properties/built", ""),
    (house(built=20240101), "/properties/built", "expected text"),
    (house(at="2024-01-01T25:00:00Z"), "/properties/at", ""),
    (house(yes="true"), "/properties/yes", "expected true or false"),
    (house(yes=1), "/properties/yes", "expected true or false"),
    (house(words="a"), "/properties/words", "expected an array"),
    (house(words={"a": 1}), "/properties/words", "expected an array"),
    (house(uuid="no"), "/properties/uuid", ""),
    (house(address="no"), "/properties/address", ""),
    (house(tree={"a": "\0"}), "/properties/tree", "NUL"),
    (house(bytes="no base64!"), "/properties/bytes", ""),
    # geometries
    (shaped(None), "/geometry", "needs a geometry"),
    (shaped({}), "/geometry", "type"),
    (shaped("POINT(1 2)"), "/geometry", ""),
    (shaped([]), "/geometry", ""),
    (shaped({"type": "Circle", "coordinates": [1, 2]}), "/geometry/type", ""),
    (shaped({"type": "Polygon"}), "/geometry/coordinates", "not an array"),
    (shaped({"type": "Polygon", "coordinates": None}), "/geometry/coordinates", "not an array"),
    (shaped({"type": "Polygon", "coordinates": [1, 2]}), "/geometry/coordinates/0", "not an array"),
    (
        shaped(polygon([[25, 60], [26, 60], [26, "61"], [25, 60]])),
        "/geometry/coordinates/0/2/1",
        "not a number",
    ),
    (
        shaped(polygon([[25, 60], [26, 60], [26, None], [25, 60]])),
        "/geometry/coordinates/0/2/1",
        "not a number",
    ),
    (
        shaped(polygon([[25, 60], [26, 60], [26, True], [25, 60]])),
        "/geometry/coordinates/0/2/1",
        "not a number",
    ),
    (
        shaped(polygon([[25, 60], [26, 60], [26], [25, 60]])),
        "/geometry/coordinates/0/2",
        "a position has two",
    ),
    (
        shaped(polygon([[25, 60], [26, 60], [26, 61, 1, 1], [25, 60]])),
        "/geometry/coordinates/0/2",
        "a position has two",
    ),
    (shaped(polygon(RING[:-1])), "/geometry/coordinates/0", "not closed"),
    (shaped(polygon(RING, RING[:3])), "/geometry/coordinates/1", "fewer than 4"),
    (shaped(polygon(BOW_TIE)), "/geometry/coordinates", "Self-intersection at 25.5 60.5"),
    (
        shaped(polygon(RING, [[27, 60], [28, 60], [28, 61], [27, 60]])),
        "/geometry/coordinates",
        "Hole lies outside",
    ),
    (
        shaped(polygon([[60, 125], [61, 125], [61, 126], [60, 125]])),
        "/geometry/coordinates",
        "longitude, latitude",
    ),
    (
        shaped(polygon([[181, 0], [182, 0], [182, 1], [181, 0]])),
        "/geometry/coordinates",
        "longitude",
    ),
    (
        shaped(polygon([[*position, 9] for position in RING])),
        "/geometry/coordinates",
        "has heights",
    ),
    (
        shaped(polygon([[i / 1e4, (i % 2) * 1e-3] for i in range(1_001)] + [[0, 0]])),
        "/geometry",
        "1000 positions",
    ),
    (shaped(point()), "/geometry/type", "is a POINT, and geom takes POLYGON"),
    (
        shaped({"type": "MultiPolygon", "coordinates": [[RING]]}),
        "/geometry/type",
        "is a MULTIPOLYGON",
    ),
    (shaped({"type": "Feature", "geometry": None}), "/geometry/type", ""),
]


async def test_a_feature_that_is_none_is_refused_with_its_place_and_the_reason(
    client: Client,
) -> None:
    """By POST and, as far as it is not about what only new features need, by PUT."""
    wrong = []
    for body, pointer, words in IN_WORDS:
        for method, path in (("POST", ITEMS), ("PUT", ITEM)):
            text = json.dumps(body).encode()
            got = await fault(client, method, path, text, GEOJSON)
            if (*got[:2],) != (422, pointer) or words not in got[2]:
                wrong.append((method, text[:200], got, pointer, words))
    assert not wrong
    assert (await send(client, "GET", ITEMS))[1]["numberReturned"] == 1


RAW = [
    # bytes, status, slug
    (b"", 400, "invalid-body"),
    (b"{", 400, "invalid-body"),
    (b"\xff\xfe", 400, "invalid-body"),
    (json.dumps(house()).encode() + b" {}", 400, "invalid-body"),
    (json.dumps(house()).encode() + b"\0", 400, "invalid-body"),
    (b"\xef\xbb\xbf\xef\xbb\xbf" + json.dumps(house()).encode(), 400, "invalid-body"),
    (json.dumps(house()).encode("utf-16"), 400, "invalid-body"),
    (b'{"type":"Feature","geometry":null,"properties":{"name":"\xff"}}', 400, "invalid-body"),
    (
        b'{"type":"Feature","geometry":null,"properties":{"name":"x","size":NaN}}',
        400,
        "invalid-body",
    ),
    (
        b'{"type":"Feature","geometry":{"type":"Point","coordinates":[NaN,1]},"properties":{"name":"x"}}',
        400,
        "invalid-body",
    ),
    (
        b'{"type":"Feature","geometry":{"type":"Point","coordinates":[1e400,1]},"properties":{"name":"x"}}',
        422,
        "invalid-feature",
    ),
    (
        b'{"type":"Feature","geometry":{"type":"Point","coordinates":[1e308,1]},"properties":{"name":"x"}}',
        422,
        "invalid-feature",
    ),
    (
        b'{"type":"Feature","geometry":null,"properties":{"name":"x","size":1e400}}',
        422,
        "invalid-feature",
    ),
    (
        b'{"type":"Feature","geometry":null,"properties":{"name":"x","price":1e400}}',
        422,
        "invalid-feature",
    ),
    (
        b'{"type":"Feature","geometry":null,"properties":{"name":"x","big":1e400}}',
        422,
        "invalid-feature",
    ),
    (
        b'{"type":"Feature","geometry":null,"properties":{"name":"x","tree":{"a":1e200000}}}',
        422,
        "invalid-feature",
    ),
    (
        b'{"type":"Feature","geometry":null,"properties":{"name":"x","name":"\\u0000"}}',
        422,
        "invalid-feature",
    ),
    (b"[" * 30_000, 422, "invalid-feature"),
    (
        b'{"type":"Feature","properties":{"tree":' + b"[" * 30_000 + b"]" * 30_000 + b"}}",
        422,
        "invalid-feature",
    ),
    (b'{"type":"Feature","id":' + b"[" * 30_000 + b"]" * 30_000 + b"}", 422, "invalid-feature"),
    (
        b'{"type":"Feature","x":' + b'{"a":' * 30_000 + b"1" + b"}" * 30_000 + b"}",
        422,
        "invalid-feature",
    ),
]


async def test_bytes_that_are_no_feature_are_refused(client: Client) -> None:
    wrong = []
    for text, status, slug in RAW:
        for method, path in (("POST", ITEMS), ("PUT", ITEM)):
            problem = await problem_of(client, method, path, text, **{"Content-Type": GEOJSON})
            if (problem["status"], problem["type"].rpartition(":")[2]) != (status, slug):
                wrong.append((method, text[:200], problem))
    assert not wrong


@pytest.mark.parametrize("depth", [65, 1_000, 8_000])
async def test_a_collection_of_collections_is_refused_before_it_is_read(
    client: Client, depth: int
) -> None:
    nested = '{"type":"GeometryCollection","geometries":[' * depth + "]}" * depth
    text = f'{{"type":"Feature","geometry":{nested},"properties":{{}}}}'.encode()
    problem = await problem_of(client, "POST", "anything/items", text, **{"Content-Type": GEOJSON})
    assert (problem["status"], problem["detail"].partition("nested")[1]) in (
        (422, "nested"),
        (413, ""),
    )


async def test_the_deepest_and_the_largest_geometries_are_refused_by_a_service_without_low_limits(
    service: Service, url: str
) -> None:
    """30,000 collections in one another crash GEOS; ten million positions fill its memory."""
    client = await service(url, writable=("*",), max_feature_bytes=200_000_000)
    nested = b'{"type":"GeometryCollection","geometries":[' * 30_000 + b"]}" * 30_000
    many = b'{"type":"MultiPoint","coordinates":[' + b"[1,1]," * 9_999_999 + b"[1,1]]}"
    for geometry in (nested, many):
        body = gzip.compress(b'{"type":"Feature","properties":{},"geometry":%b}' % geometry, 1)
        problem = await problem_of(
            client,
            "POST",
            "anything/items",
            body,
            **{"Content-Type": GEOJSON, "Content-Encoding": "gzip"},
        )
        assert problem["status"] == 422, problem
    await send(client, "GET", ITEM)


PATCHES = [
    ({"id": 7}, 422, "/id"),
    ({"id": "1"}, 422, "/id"),
    ({"id": None}, 422, "/id"),
    ({"properties": None}, 422, "/properties"),
    ({"properties": []}, 422, "/properties"),
    ({"type": "Other"}, 422, "/type"),
    ({"type": None}, 422, "/type"),
    ({"geometry": None}, 422, "/geometry"),
    ({"geometry": point()}, 422, "/geometry/type"),
    ({"geometry": {"coordinates": [RING]}}, 422, "/geometry"),
    ({"properties": {"name": None}}, 422, "/properties/name"),
    ({"properties": {"owner": 1}}, 422, "/properties/owner"),
    ({"properties": {"id": 2}}, 422, "/properties/id"),
    ({"properties": {"doubled": 2}}, 422, "/properties/doubled"),
    ({"properties": {"secret": "x"}}, 422, "/properties/secret"),
    ({"properties": {"tint": "blue"}}, 422, "/properties/tint"),
    ({"properties": {"built": "never"}}, 422, "/properties/built"),
    ({"properties": {"range": {"lower": 1}}}, 422, "/properties/range"),
    ({"properties": {"range": "x"}}, 422, "/properties/range"),
    ({"properties": {"path": "$$$"}}, 422, "/properties/path"),
    ({"properties": {"class": "no_such_table"}}, 422, "/properties/class"),
    ({"properties": {"part": "'"}}, 422, "/properties/part"),
    ({"properties": {"range": 5}}, 422, "/properties/range"),
    ({"properties": {"tree": {"a": "\0"}}}, 422, "/properties/tree"),
    ({"properties": {"tree": {"a\0": 1}}}, 422, "/properties/tree"),
]


async def test_a_merge_patch_that_cannot_be_applied_is_refused_with_its_place(
    client: Client,
) -> None:
    before = (await send(client, "GET", ITEM))[1]
    wrong = []
    with seen(WriteFailed) as events:
        for body, status, pointer in PATCHES:
            text = json.dumps(body).encode()
            got = await fault(client, "PATCH", ITEM, text, MERGE_PATCH)
            if (*got[:2],) != (status, pointer):
                wrong.append((text, got, pointer))
    assert not wrong
    assert not [event for event in events if "no_such_table" in str(event) or "$" in str(event)]
    assert (await send(client, "GET", ITEM))[1] == before


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
@pytest.mark.parametrize("depth", [20, 2_000, 30_000])
async def test_a_deep_json_patch_is_refused_or_stored_and_harms_nobody(
    client: Client, opening: bytes, depth: int
) -> None:
    closing = b"}" if opening.startswith(b"{") else b"]"
    body = b'{"properties":{"tree":' + opening * depth + b"1" + closing * depth + b"}}"
    async with client.patch(
        f"/collections/{ITEM}", data=body, headers={"Content-Type": MERGE_PATCH}
    ) as response:
        text = await response.text()
        assert response.status in ((422,) if closing == b"}" or depth == 30_000 else (204, 422)), (
            text
        )
        if depth == 20 and closing == b"}":
            assert json.loads(text)["pointer"] == "/properties/tree"
    await send(client, "GET", ITEM)


async def test_a_wide_json_patch_is_applied(client: Client) -> None:
    tree = {f"k{number}": {"n": number, "gone": None} for number in range(300)}
    await send(client, "PATCH", ITEM, {"properties": {"tree": tree}}, 204, kind=MERGE_PATCH)
    stored = (await send(client, "GET", ITEM))[1]["properties"]["tree"]
    assert stored == {f"k{number}": {"n": number} for number in range(300)}


async def test_what_takes_heights_or_many_gets_them(client: Client) -> None:
    body = {"type": "Feature", "geometry": point(), "properties": {}}
    problem = (await send(client, "POST", "high/items", body, 422))[1]
    assert "needs them" in problem["detail"]
    await send(
        client,
        "POST",
        "high/items",
        {**body, "geometry": {"type": "Point", "coordinates": [1, 2, 3]}},
        201,
    )
    await send(client, "POST", "multi/items", {**body, "geometry": polygon()}, 201)
    stored = (await send(client, "GET", "multi/items/1"))[1]
    assert stored["geometry"] == {"type": "MultiPolygon", "coordinates": [[RING]]}


HEADERS: list[tuple[dict[str, str], int, str, str | None]] = [
    # headers, status, slug, parameter
    (
        {"Content-Crs": "<http://www.opengis.net/def/crs/EPSG/0/25832>"},
        400,
        "invalid-parameter",
        "Content-Crs",
    ),
    ({"Content-Crs": "EPSG:4326"}, 400, "invalid-parameter", "Content-Crs"),
    ({"Content-Crs": ""}, 400, "invalid-parameter", "Content-Crs"),
    ({"If-Match": "abc"}, 400, "invalid-parameter", "If-Match"),
    ({"If-Match": '"a'}, 400, "invalid-parameter", "If-Match"),
    ({"If-Match": '"a" "b"'}, 400, "invalid-parameter", "If-Match"),
    ({"If-None-Match": "abc"}, 400, "invalid-parameter", "If-None-Match"),
    ({"If-Match": ", ".join(['"a"'] * 200)}, 400, "invalid-parameter", "If-Match"),
    ({"Idempotency-Key": ""}, 400, "invalid-parameter", "Idempotency-Key"),
    ({"Idempotency-Key": "x" * 300}, 400, "invalid-parameter", "Idempotency-Key"),
    ({"Content-Type": "text/plain"}, 415, "unsupported-media-type", None),
    ({"Content-Type": ""}, 415, "unsupported-media-type", None),
    ({"Content-Encoding": "br"}, 415, "unsupported-media-type", None),
    ({"Content-Encoding": "gzip, gzip"}, 415, "unsupported-media-type", None),
    ({"Content-Encoding": "gzip"}, 400, "invalid-body", None),
    ({"Content-Encoding": "zstd"}, 400, "invalid-body", None),
    ({"Content-Encoding": "deflate"}, 400, "invalid-body", None),
]


async def test_a_header_that_is_wrong_is_named(client: Client) -> None:
    text, wrong = json.dumps(house()).encode(), []
    for headers, *expected in HEADERS:
        problem = await problem_of(
            client, "PUT", ITEM, text, **{"Content-Type": GEOJSON, **headers}
        )
        if [
            problem["status"],
            problem["type"].rpartition(":")[2],
            problem.get("parameter"),
        ] != expected:
            wrong.append((headers, problem))
    assert not wrong


async def test_parameters_of_a_media_type_are_passed_over(client: Client) -> None:
    await send(client, "PUT", ITEM, house(), 204, kind="application/json; charset=latin1x")


async def test_what_is_preferred_and_not_understood_is_passed_over(client: Client) -> None:
    for prefer in (
        "return=everything",
        "wait=10",
        ";;;",
        "handling",
        "respond-async, return=minimal;x=1",
        "=",
        "Ä",
    ):
        await send(client, "PUT", ITEM, house(), 204, Prefer=prefer)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_unknown_parameters_are_named(client: Client, method: str) -> None:
    path, kind = ITEMS if method == "POST" else ITEM, MERGE_PATCH if method == "PATCH" else GEOJSON
    body = json.dumps(house()).encode()
    for query, slug, name in (
        ("frobnicate=1", "unknown-parameter", "frobnicate"),
        ("dry-run=maybe", "invalid-parameter", "dry-run"),
        ("dry-run=", "invalid-parameter", "dry-run"),
        ("dry-run=true&dry-run=false", "invalid-parameter", "dry-run"),
    ):
        problem = await problem_of(
            client, method, f"{path}?{query}", body, **{"Content-Type": kind}
        )
        assert (problem["status"], problem["type"].rpartition(":")[2], problem["parameter"]) == (
            400,
            slug,
            name,
        )
