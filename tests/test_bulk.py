"""Many features in one body: all of them or none, with the place of what is wrong; or the good
ones, with a report.
"""

import asyncio
import gzip
import json
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from backports import zstd

from geosvc.database.migrations import migrate_up
from geosvc.events import WriteRetried
from geosvc.settings import Settings
from tests.bulk_bodies import (
    LENIENT,
    SEQUENCE,
    SHAPES,
    TABLES,
    Feature,
    as_collection,
    as_lines,
    ask,
    count,
    feature,
    heavy,
    in_odd_sizes,
    load,
    nothing_is_left,
    post,
    quiet,
    with_id,
)
from tests.conftest import Client, Service, execute
from tests.http import fetch
from tests.observing import seen
from tests.posting import GEOJSON

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
}
TYPE = "urn:geosvc:problem:"


@pytest.fixture
def bulk_url(bare_database_url: str) -> str:
    """The tables to load into."""
    execute(bare_database_url, TABLES)
    return bare_database_url


@pytest.fixture
def migrated_url(bulk_url: str) -> str:
    """The same with the schema of geosvc."""
    migrate_up(Settings(), bulk_url)
    return bulk_url


@pytest.fixture
async def client(service: Service, bulk_url: str) -> Client:
    return await service(bulk_url, writable=("*",))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("shape", SHAPES)
async def test_every_feature_arrives_whatever_the_shape_the_coding_and_the_sizes_of_chunks(
    client: Client, bulk_url: str, shape: str, coding: str
) -> None:
    write, content_type = SHAPES[shape]
    body = CODINGS[coding](write([feature(number) for number in range(700)]))
    report = await post(
        client,
        "places",
        in_odd_sizes(body, seed=7),
        Content_Type=content_type,
        Content_Encoding=coding,
    )
    assert {name: value for name, value in report.items() if name != "ids"} == {
        "numberReceived": 700,
        "numberCreated": 700,
        "numberUpdated": 0,
        "numberRejected": 0,
        "rejected": [],
    }
    rows = await ask(
        bulk_url,
        "SELECT id, name, height, level, ST_X(geom), ST_Y(geom) FROM places ORDER BY places.id",
    )
    assert [row[0] for row in rows] == report["ids"]
    assert [row[1:] for row in rows] == [
        (f"place {number}", number / 4, 7, *feature(number)["geometry"]["coordinates"])
        for number in range(700)
    ]


async def test_members_before_and_behind_the_features_are_passed_over(
    client: Client, bulk_url: str
) -> None:
    features = json.dumps([feature(number) for number in range(3)])
    before = '"bbox": [0, 0, 1, 1], "name": "a ] } b", "x": {"features": [1, {"type": "Feature"}]}'
    behind = '"links": [{"href": "[{"}], "y": {"features": []}, "type": "FeatureCollection"'
    report = await post(
        client, "places", f'\ufeff {{ {before} , "features" : {features} , {behind} }} \n'.encode()
    )
    assert report["numberCreated"] == await count(bulk_url) == 3


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_collection_is_one_however_long_the_members_before_it_are(
    client: Client, bulk_url: str, coding: str
) -> None:
    """The first piece of a body that has arrived may be a small part of it when it is inflated."""
    body = as_collection([feature(1), feature(2)], about=Random(3).randbytes(30_000).hex())
    assert (await post(client, "places", CODINGS[coding](body), Content_Encoding=coding))[
        "numberCreated"
    ] == 2
    await nothing_is_left(client, bulk_url, 2)


@pytest.mark.parametrize("shape", SHAPES)
async def test_no_features_are_loaded_as_well(client: Client, bulk_url: str, shape: str) -> None:
    write, content_type = SHAPES[shape]
    report = await post(client, "places", write([]), 200, Content_Type=content_type)
    assert report["numberReceived"] == report["numberCreated"] == 0
    assert report["ids"] == []
    await nothing_is_left(client, bulk_url)


async def test_what_is_absent_gets_its_default_and_what_is_null_is_null(
    client: Client, bulk_url: str
) -> None:
    own: list[dict[str, Any]] = [
        {},
        {"level": 1},
        {"level": None},
        {"note": "n"},
        {"note": None, "level": 2},
        {"level": 3},
    ]
    features = [
        feature(number, properties={"name": str(number), **own[number % 6]}) for number in range(60)
    ]
    report = await load(client, features)
    rows = await ask(bulk_url, "SELECT level, note, height FROM places ORDER BY name::int")
    assert rows == [(each.get("level", 7), each.get("note"), None) for each in own] * 10
    names = await ask(bulk_url, "SELECT id, name FROM places")
    assert [dict(names)[own_id] for own_id in report["ids"]] == [
        str(number) for number in range(60)
    ]


async def test_a_feature_without_properties_gets_the_defaults(
    client: Client, bulk_url: str
) -> None:
    assert (await load(client, [feature(1, properties=None), feature(2, properties={})]))[
        "numberCreated"
    ] == 2
    assert await ask(bulk_url, "SELECT name, level FROM places") == [(None, 7), (None, 7)]


async def test_fifty_thousand_features_arrive_in_their_order(client: Client, bulk_url: str) -> None:
    report = await load(client, [feature(number) for number in range(50_000)])
    assert report["numberReceived"] == report["numberCreated"] == 50_000
    assert "ids" not in report
    (row,) = await ask(
        bulk_url, "SELECT count(*), bool_and(name = 'place ' || (id - 1)) FROM places"
    )
    assert row == (50_000, True)


async def test_a_single_feature_and_a_collection_of_one_are_told_apart(
    client: Client, bulk_url: str
) -> None:
    assert (await load(client, [feature(1)]))["ids"] == [1]
    async with client.post(
        "/collections/places/items", json=feature(2), headers={"Content-Type": GEOJSON}
    ) as response:
        assert response.status == 201
        assert response.headers["Location"].endswith("/items/2")
    assert await count(bulk_url) == 2


async def test_a_dry_run_checks_everything_and_stores_nothing(
    client: Client, bulk_url: str
) -> None:
    report = await load(
        client, [feature(number) for number in range(20)], 200, "places?dry-run=true"
    )
    assert report["numberCreated"] == 20
    assert "ids" not in report
    assert (await load(client, [feature(1), feature(1)], 409, "places?dry-run=true"))["index"] == 1
    await nothing_is_left(client, bulk_url)


BOW_TIE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
CROSSED = {"type": "LineString", "coordinates": [[3, 3], [3, 3]]}
FAULTS: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "wrong type": (
        {"properties": {"height": "tall"}},
        422,
        "invalid-feature",
        "/properties/height",
    ),
    "unknown": ({"properties": {"colour": 1}}, 422, "invalid-feature", "/properties/colour"),
    "no geometry": ({"geometry": None}, 422, "invalid-feature", "/geometry"),
    "other geometry": ({"geometry": BOW_TIE}, 422, "invalid-feature", "/geometry/type"),
    "not on Earth": (
        {"geometry": {"type": "Point", "coordinates": [181, 0]}},
        422,
        "invalid-feature",
        "/geometry/coordinates",
    ),
    "no position": (
        {"geometry": {"type": "Point", "coordinates": [1]}},
        422,
        "invalid-feature",
        "/geometry/coordinates",
    ),
    "no feature": ({"type": "Future"}, 422, "invalid-feature", "/type"),
    "NUL": ({"properties": {"name": "a\0b"}}, 422, "invalid-feature", "/properties/name"),
    "check": ({"properties": {"height": -501}}, 409, "conflict", "/properties/height"),
    "unique": ({"properties": {"name": "place 5"}}, 409, "conflict", "/properties/name"),
    "trigger": ({"properties": {"note": "unwanted"}}, 422, "invalid-feature", ""),
}


def spoilt(place: int, fault: str, number: int = 4_000) -> list[Feature]:
    """Features of several pieces, one of which is bad."""
    features = [heavy(each) for each in range(number)]
    features[place] = feature(place, **FAULTS[fault][0])
    return features


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_bad_feature_anywhere_is_named_and_nothing_is_stored(
    client: Client, bulk_url: str, fault: str
) -> None:
    _, status, slug, pointer = FAULTS[fault]
    for place in (6, 700, 1_700, 3_999):
        with quiet():
            problem = await load(client, spoilt(place, fault), status)
            await nothing_is_left(client, bulk_url)
        assert (problem["type"], problem["status"], problem["index"]) == (
            TYPE + slug,
            status,
            place,
        )
        assert problem["pointer"] == f"/features/{place}{pointer}"
        if status == 409:
            assert problem["constraint"] in ("height_is_real", "places_name_key")


async def test_the_first_feature_and_the_only_one_are_named_as_well(
    client: Client, bulk_url: str
) -> None:
    for number in (1, 4_000):
        assert (await load(client, spoilt(0, "check", number), 409))[
            "pointer"
        ] == "/features/0/properties/height"
        assert (await load(client, spoilt(0, "wrong type", number), 422))[
            "pointer"
        ] == "/features/0/properties/height"
        await nothing_is_left(client, bulk_url)


BAD_JSON = (
    b'{"type":"Feature" "geometry":null}',
    b'{"type":}',
    b"{'type':'Feature'}",
    b'{"type":"Feature","geometry":null,"properties":{"height":NaN}}',
    b'{"type":"Feature","geometry":null,"properties":{"name":"a\0b"}}',
    b'{"type":"Feature","geometry":null,"properties":{"name":"\xff"}}',
)


@pytest.mark.parametrize("text", BAD_JSON)
async def test_what_is_no_json_is_named_as_well(client: Client, bulk_url: str, text: bytes) -> None:
    features = [feature(number) for number in range(30)]
    features[11] = {"here": 1}
    for write, content_type in SHAPES.values():
        body = write(features).replace(b'{"here": 1}', text)
        with quiet():
            problem = await post(client, "places", body, 400, Content_Type=content_type)
            await nothing_is_left(client, bulk_url)
        assert (problem["type"], problem.get("index")) == (f"{TYPE}invalid-body", 11)


async def test_in_a_sequence_the_index_tells_the_feature_and_the_pointer_the_place_in_it(
    client: Client, bulk_url: str
) -> None:
    features = [feature(0), feature(1, properties={"height": "tall"})]
    problem = await post(client, "places", as_lines(features), 422, Content_Type=SEQUENCE)
    assert (problem["index"], problem["pointer"]) == (1, "/properties/height")
    await nothing_is_left(client, bulk_url)


async def test_a_line_that_is_too_short_is_invalid_and_repaired_on_request(
    client: Client, bulk_url: str
) -> None:
    lines = {"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]]]}
    heights = {"type": "LineString", "coordinates": [[0, 0, 5], [1, 1, 5]]}
    assert (await load(client, [feature(0, geometry=lines, properties={})], 422, "lines"))[
        "index"
    ] == 0
    features = [feature(0, geometry=heights, properties={})] * 3
    assert (await load(client, features, 422, "lines"))[
        "pointer"
    ] == "/features/0/geometry/coordinates"
    report = await load(client, features, 201, "lines?repair=true")
    assert report["numberRepaired"] == 3
    assert report["repaired"] == [
        {"index": index, "change": "heights were removed"} for index in range(3)
    ]
    await nothing_is_left(client, bulk_url, 3, "lines")


async def test_lenient_keeps_the_good_ones_and_reports_every_bad_one(
    client: Client, bulk_url: str
) -> None:
    features = [heavy(number) for number in range(4_000)]
    faults = [
        name for name in FAULTS if name != "unknown"
    ]  # a preference of its own: they are passed over
    places = {100 + 350 * number: fault for number, fault in enumerate(faults)}
    for place, fault in places.items():
        features[place] = feature(place, **FAULTS[fault][0])
    with quiet():
        report = await load(client, features, Prefer=LENIENT)
        await nothing_is_left(client, bulk_url, 4_000 - len(places))
    assert report["numberReceived"] == 4_000
    assert report["numberCreated"] == len(report["ids"]) == 4_000 - len(places)
    assert [each["index"] for each in report["rejected"]] == sorted(places)
    for each in report["rejected"]:
        _, _, slug, pointer = FAULTS[places[each["index"]]]
        assert each["type"] == TYPE + slug
        assert each["pointer"] == f"/features/{each['index']}{pointer}"
        assert each["detail"]
    rows = await ask(bulk_url, "SELECT name FROM places ORDER BY places.id")
    assert [row[0] for row in rows] == [
        f"place {number}" for number in range(4_000) if number not in places
    ]


async def test_too_many_bad_features_refuse_all(service: Service, bulk_url: str) -> None:
    client = await service(bulk_url, writable=("*",), max_rejected=20)
    bad = [feature(number, properties={"height": "tall"}) for number in range(10)]
    refused = [feature(number, properties={"height": -501}) for number in range(10)]
    assert (await load(client, [*bad, feature(7), *refused], Prefer=LENIENT))[
        "numberRejected"
    ] == 20
    with quiet():
        for features in (
            [*bad, *bad, feature(8), bad[0]],
            [*refused, feature(8), *refused, refused[0]],
        ):
            assert (await load(client, features, 413, Prefer=LENIENT))[
                "type"
            ] == f"{TYPE}body-too-large"
            await nothing_is_left(client, bulk_url, 1)


KEYS: dict[str, Any] = {
    "texts": lambda number: f"key {number}, \\ é",
    "uuids": lambda number: str(UUID(int=number)),
    "places": lambda number: number + 1,
    "always": lambda number: number + 1,
    "pairs": lambda number: f"{number},b{number % 3}",
}


def keyed(table: str, number: int, value: int) -> Feature:
    """A feature with an id, and a value to be found by."""
    properties = {"height": value} if table == "places" else {"n": value}
    return feature(number, id=KEYS[table](number), properties=properties)


@pytest.mark.parametrize("table", KEYS)
async def test_upsert_makes_what_is_new_and_replaces_what_is_there(
    client: Client, bulk_url: str, table: str
) -> None:
    path = f"{table}?upsert=true"
    first = await load(client, [keyed(table, number, 1) for number in range(10)], path=path)
    assert (first["numberCreated"], first["numberUpdated"]) == (10, 0)
    second = await load(client, [keyed(table, number, 2) for number in range(5, 20)], path=path)
    assert (second["numberCreated"], second["numberUpdated"]) == (10, 5)
    assert second["ids"] == [KEYS[table](number) for number in range(5, 20)]
    again = await load(client, [keyed(table, number, 2) for number in range(5, 20)], 200, path)
    assert (again["numberCreated"], again["numberUpdated"]) == (0, 15)
    value = "height" if table == "places" else "n"
    assert await ask(
        bulk_url, f"SELECT {value}::int, count(*)::int FROM {table} GROUP BY 1 ORDER BY 1"
    ) == [(1, 5), (2, 15)]
    url = f"/collections/{table}/items/{KEYS[table](7) if table != 'texts' else 'key%207,%20%5C%20%C3%A9'}"
    assert (await fetch(client, url))["id"] == KEYS[table](7)


async def test_upsert_replaces_the_whole_feature(client: Client, bulk_url: str) -> None:
    path = "places?upsert=true"
    await load(
        client, [feature(1, id=1, properties={"level": 3, "note": "n", "name": "a"})], path=path
    )
    await load(client, [feature(1, id=1, properties={"name": "b"})], 200, path)
    assert await ask(bulk_url, "SELECT name, note, level FROM places") == [
        ("b", None, 7)
    ]  # as a PUT does


@pytest.mark.parametrize("apart", [1, 3_000])
async def test_an_id_that_is_there_twice_is_rejected(
    client: Client, bulk_url: str, apart: int
) -> None:
    features = [heavy(number, id=number + 1) for number in range(4_000)]
    features[50 + apart] = heavy(50 + apart, id=51)
    problem = await load(client, features, 422, "places?upsert=true")
    assert (problem["index"], problem["pointer"]) == (50 + apart, f"/features/{50 + apart}/id")
    await nothing_is_left(client, bulk_url)
    report = await load(client, features, path="places?upsert=true", Prefer=LENIENT)
    assert [each["index"] for each in report["rejected"]] == [50 + apart]
    assert (await ask(bulk_url, "SELECT name FROM places WHERE id = 51")) == [("place 50",)]


@pytest.mark.parametrize(
    ("table", "one", "same"),
    [
        ("uuids", "A" * 8 + "-0000-0000-0000-" + "0" * 12, "a" * 8 + "-0000-0000-0000-" + "0" * 12),
        ("places", 7, "07"),
    ],
)
async def test_an_id_is_there_twice_however_it_is_written(
    client: Client, bulk_url: str, table: str, one: Any, same: Any
) -> None:
    features = [feature(0, id=one, properties={}), feature(1, id=same, properties={})]
    problem = await load(client, features, 422, f"{table}?upsert=true")
    assert problem["index"] == 1
    await nothing_is_left(client, bulk_url, table=table)


async def test_what_has_no_id_cannot_be_upserted(client: Client, bulk_url: str) -> None:
    features = [keyed("texts", 1, 1), feature(2, properties={"n": 1})]
    assert (await load(client, features, 422, "texts?upsert=true"))["pointer"] == "/features/1/id"
    assert (await load(client, features, 422, "texts"))["pointer"] == "/features/1/id"
    features[1] = feature(2, properties={"n": 1, "id": "by its property"})
    assert (await load(client, features, path="texts?upsert=true"))["numberCreated"] == 2
    await nothing_is_left(client, bulk_url, 2, "texts")


async def test_a_single_feature_can_be_upserted(client: Client, bulk_url: str) -> None:
    for status in (201, 200):
        report = await post(
            client, "texts?upsert=true", json.dumps(keyed("texts", 1, 1)).encode(), status
        )
        assert (report["numberCreated"], report["numberUpdated"]) == (
            int(status == 201),
            int(status == 200),
        )
    await nothing_is_left(client, bulk_url, 1, "texts")


@pytest.mark.parametrize("collection", ["keyless", "seen_places"])
@pytest.mark.parametrize("content_type", [GEOJSON, SEQUENCE])
async def test_upsert_is_for_tables_with_a_key(
    client: Client, bulk_url: str, collection: str, content_type: str
) -> None:
    body = as_collection([feature(1)]) if content_type == GEOJSON else as_lines([feature(1)])
    problem = await post(client, f"{collection}?upsert=true", body, 400, Content_Type=content_type)
    assert problem["parameter"] == "upsert"
    await nothing_is_left(client, bulk_url)


async def test_views_and_tables_without_a_key_take_loads(client: Client, bulk_url: str) -> None:
    assert (await load(client, [feature(1), feature(2)], path="seen_places"))["numberCreated"] == 2
    assert (await load(client, [with_id(1, 1), with_id(2, 1)], path="keyless"))[
        "numberCreated"
    ] == 2
    await nothing_is_left(client, bulk_url, 2)
    await nothing_is_left(client, bulk_url, 2, "keyless")


async def test_a_load_with_an_idempotency_key_is_carried_out_once(
    service: Service, migrated_url: str
) -> None:
    client = await service(migrated_url, writable=("*",))
    features = [heavy(number) for number in range(3_000)]
    first = await load(client, features, Idempotency_Key="once")
    assert await load(client, features, Idempotency_Key="once") == first
    assert (await load(client, features[:-1], 422, Idempotency_Key="once"))[
        "type"
    ] == f"{TYPE}idempotency-key-reused"
    await nothing_is_left(client, migrated_url, 3_000)
    assert (await load(client, [feature(1)], 409, Idempotency_Key="bad"))["index"] == 0
    assert (await load(client, [feature(3_001)], Idempotency_Key="bad"))["numberCreated"] == 1


async def test_of_concurrent_twins_one_is_carried_out(service: Service, migrated_url: str) -> None:
    client = await service(migrated_url, writable=("*",))
    features = [heavy(number) for number in range(2_000)]
    reports = await asyncio.gather(
        *(load(client, features, Idempotency_Key="twins") for _ in range(4))
    )
    assert all(report == reports[0] for report in reports)
    await nothing_is_left(client, migrated_url, 2_000)


async def test_a_deadlock_with_another_session_is_tried_again(
    client: Client, bulk_url: str
) -> None:
    await load(client, [keyed("places", number, 1) for number in range(2)])
    other = await asyncpg.connect(bulk_url)
    await other.execute(
        "SET deadlock_timeout = '30s'; BEGIN; UPDATE places SET height = 2 WHERE id = 2"
    )
    with seen(WriteRetried) as retried, quiet():
        loading = asyncio.ensure_future(
            load(
                client,
                [keyed("places", number, 3) for number in range(2)],
                200,
                "places?upsert=true",
            )
        )
        while not await ask(bulk_url, "SELECT FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        await other.execute("UPDATE places SET height = 2 WHERE id = 1; COMMIT")
        assert (await loading)["numberUpdated"] == 2
    assert [each.sqlstate for each in retried][:1] == ["40P01"]
    await other.close()
    assert await ask(bulk_url, "SELECT DISTINCT height FROM places") == [(3.0,)]


async def test_others_are_answered_while_a_body_is_loaded(client: Client, bulk_url: str) -> None:
    body = as_collection([heavy(number) for number in range(5_000)])
    loading = asyncio.ensure_future(post(client, "places", in_odd_sizes(body, 1, 400_000)))
    answered = 0
    while not loading.done():
        assert (await fetch(client, "/conformance"))["conformsTo"]
        answered += 1
    assert (await loading)["numberCreated"] == 5_000
    assert answered > 5
