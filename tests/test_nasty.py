"""Tables that are nasty on purpose: every row is read, every key found again, every type arrives
whole.
"""

import asyncio
import csv
import io
import json
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from yarl import URL

from tests.conftest import Client, Service, execute
from tests.http import fetch

GEOMETRIES = "/collections/nasty_geometries"
WORLD = "bbox=-180,-90,180,90"


def query(url: str, sql: str) -> list[asyncpg.Record]:
    async def run() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    return asyncio.run(run())


async def rows(url: str, sql: str) -> list[asyncpg.Record]:
    return await asyncio.to_thread(query, url, sql)


@pytest.mark.parametrize(
    "request_path",
    [
        "/items?limit=1000",
        "/items?limit=1000&simplify=0.1",
        "/items?limit=1000&zoom-level=3",
        "/items?limit=1000&skipGeometry=true",
        "/items?limit=9999",
        "/export",
        "/items?limit=1000&sortby=-label",
    ],
)
async def test_no_stored_geometry_fails_a_read(
    nasty: Client, nasty_url: str, request_path: str
) -> None:
    expected = await rows(nasty_url, "SELECT id FROM nasty_geometries")
    page = await fetch(nasty, GEOMETRIES + request_path)
    assert {feature["id"] for feature in page["features"]} == {row["id"] for row in expected}


@pytest.mark.parametrize(
    "box",
    [
        WORLD,
        "bbox=0,0,1,1",
        "bbox=25,60,25.2,60.3",
        "bbox=170,-10,-170,10",
        "bbox=-1,-1,0.5,0.5",
        "bbox=0.2,0.2,0.21,0.21",
        "bbox=24,59,26,61",
        "bbox=-180,-90,-90,0",
        "bbox=0,0,-100,9,9,100",
    ],
)
async def test_no_stored_geometry_fails_a_box(nasty: Client, box: str) -> None:
    for path in ("/items?limit=1000&", "/items?limit=3&", "/export?", "/items?f=csv&limit=1000&"):
        async with nasty.get(f"{GEOMETRIES}{path}{box}") as response:
            assert response.status == 200, await response.text()
            await response.read()


async def test_every_nasty_feature_is_found_by_its_id(nasty: Client, nasty_url: str) -> None:
    expected = [row["id"] for row in await rows(nasty_url, "SELECT id FROM nasty_geometries")]
    features = await asyncio.gather(
        *(fetch(nasty, f"{GEOMETRIES}/items/{each}") for each in expected)
    )
    assert [feature["id"] for feature in features] == expected


async def test_what_geojson_can_say_of_a_nasty_geometry_is_said(nasty: Client) -> None:
    page = await fetch(nasty, f"{GEOMETRIES}/items?limit=1000")
    by_label = {feature["properties"]["label"]: feature["geometry"] for feature in page["features"]}
    assert by_label["nested collection"]["geometries"][0]["geometries"][0]["coordinates"] == [1, 1]
    assert by_label["ring of two points"] is None
    assert by_label["point nan"] is None
    assert by_label["clockwise shell"]["coordinates"][0][1] == [1, 0]
    crossing = by_label["antimeridian 170 to 190"]
    assert crossing["type"] == "MultiPolygon"
    longitudes = [x for polygon in crossing["coordinates"] for ring in polygon for x, _ in ring]
    assert min(longitudes) == -180
    assert max(longitudes) == 180
    assert by_label["collection with a curve"]["geometries"][0]["type"] == "LineString"
    assert len(by_label["line of 100,000 vertices"]["coordinates"]) == 100_000


async def test_lines_keep_their_direction_in_a_column_of_any_type(nasty: Client) -> None:
    page = await fetch(nasty, f"{GEOMETRIES}/items?limit=1000")
    by_label = {feature["properties"]["label"]: feature["geometry"] for feature in page["features"]}
    assert by_label["linestring z"]["coordinates"] == [[24, 60, 1], [25, 61, 2]]
    assert by_label["collection"]["geometries"][1]["coordinates"] == [[0, 0], [1, 1]]
    assert by_label["multicurve"]["coordinates"][0] == [[0, 0], [5, 5]]
    geography = await fetch(nasty, "/collections/nasty_geography/items/2")
    assert geography["geometry"]["coordinates"] == [[24.9384, 60.1699], [24.7536, 59.437]]


async def test_a_polygon_stored_beyond_180_is_found_on_the_other_side(nasty: Client) -> None:
    page = await fetch(
        nasty, f"{GEOMETRIES}/items?bbox=-179,-5,-175,5&limit=1000&skipGeometry=true"
    )
    assert "antimeridian 170 to 190" in {
        feature["properties"]["label"] for feature in page["features"]
    }


async def test_features_without_a_geometry_match_every_box(nasty: Client) -> None:
    page = await fetch(nasty, "/collections/nasty_geometries/items?bbox=100,80,101,81&limit=100")
    assert None in [feature["geometry"] for feature in page["features"]]


async def test_geography_in_a_box_is_what_the_same_geometry_is(
    nasty: Client, nasty_url: str
) -> None:
    # one of them crosses the antimeridian
    shape = "CASE id WHEN 4 THEN ST_ShiftLongitude(geog::geometry) ELSE geog::geometry END"
    for box in (
        "-180,-90,180,90",
        "20,50,30,70",
        "-20,-40,60,70",
        "170,-30,-170,30",
        "0,0,0.001,0.001",
        "-100,80,100,90",
    ):
        west, south, east, north = map(float, box.split(","))
        parts = (
            [(west, south, east, north)]
            if west <= east
            else [(west, south, 180, north), (-180, south, east, north)]
        )
        tests = " OR ".join(
            f"ST_DWithin({shape}, ST_MakeEnvelope({w + s},{y1},{e + s},{y2},4326), 0)"
            for w, y1, e, y2 in parts
            for s in (0, 360, -360)
        )
        expected = await rows(
            nasty_url, f"SELECT id FROM nasty_geography WHERE {tests} OR geog IS NULL"
        )
        page = await fetch(nasty, f"/collections/nasty_geography/items?bbox={box}&limit=100")
        assert {each["id"] for each in page["features"]} == {row["id"] for row in expected}, box


async def test_odd_names_of_tables_and_columns_arrive_whole(nasty: Client, nasty_url: str) -> None:
    name = 'nasty "names" ünïcode'
    path = f"/collections/{quote(name)}"
    document = await fetch(nasty, path)
    assert document["id"] == name
    page = await fetch(nasty, f"{path}/items?limit=10")
    found = {feature["id"]: feature["properties"] for feature in page["features"]}
    table = '"nasty ""names"" ünïcode"'
    for row in await rows(nasty_url, f"SELECT to_jsonb(t) - 'Géom \"x\" 🌍' AS r FROM {table} t"):
        expected = json.loads(row["r"])
        assert found[expected['ID of "this" {row}; --']] == expected
    for column in found[1]:
        by_one = await fetch(
            nasty,
            str(
                URL(f"{path}/items").with_query(
                    properties=f'"{column.replace(chr(34), chr(34) * 2)}"'
                )
            ),
        )
        assert by_one["features"][0]["properties"].keys() == {column}


async def test_odd_names_filter_and_sort(nasty: Client) -> None:
    path = "/collections/nasty%20%22names%22%20%C3%BCn%C3%AFcode/items"
    page = await fetch(nasty, f"{path}?select=reserved")
    assert [each["id"] for each in page["features"]] == [1]
    page = await fetch(nasty, f"{path}?sortby=-select,it's&limit=10")
    assert [each["id"] for each in page["features"]] == [2, 1, -3]
    for text in ('"a,b"', '-"a,b",+"say ""hi"""', ' "a,b"'):
        await fetch(nasty, f"{path}?sortby={quote(text)}&limit=1")
    page = await fetch(nasty, f"{path}?%25s=percent")
    assert [each["id"] for each in page["features"]] == [1]


@pytest.mark.parametrize(
    "collection",
    [
        "nasty_text_key",
        "nasty_composite",
        "nasty_uuid_key",
        "nasty_unique_not_null",
        "nasty_partitioned",
        "nasty_materialised",
        "nasty_types",
    ],
)
async def test_every_feature_is_found_again_by_its_own_link(nasty: Client, collection: str) -> None:
    page = await fetch(nasty, f"/collections/{collection}/items?limit=100")
    assert page["features"]
    ids = [str(feature["id"]) for feature in page["features"] if "id" in feature]
    assert len(set(ids)) == len(ids)
    # no URL ends with "", "." or ".."
    assert len(page["features"]) - len(ids) == (3 if collection == "nasty_text_key" else 0)
    for feature in page["features"]:
        if "id" not in feature:
            continue
        path = f"/collections/{collection}/items/{quote(str(feature['id']), safe='')}"
        again = await fetch(nasty, path)
        assert again["properties"] == feature["properties"]
        link = next(each["href"] for each in again["links"] if each["rel"] == "self")
        assert (await fetch(nasty, link))["properties"] == feature["properties"]


async def test_a_partitioned_table_is_one_collection_and_a_plain_table_none(nasty: Client) -> None:
    ids = {each["id"] for each in (await fetch(nasty, "/collections"))["collections"]}
    assert "nasty_partitioned" in ids
    assert not {each for each in ids if each.startswith("nasty_partitioned_")}
    assert "nasty_not_spatial" not in ids
    assert "words" not in ids
    assert {"nasty_two_geometries", "nasty_two_geometries.footprint"} <= ids


async def test_features_without_a_key_have_no_id_and_are_paged_all_the_same(nasty: Client) -> None:
    for collection, total in (("nasty_no_key", 3), ("nasty_keyless_view", 4)):
        path: str | None = f"/collections/{collection}/items?limit=1"
        seen = []
        while path:
            page = await fetch(nasty, path)
            seen += page["features"]
            path = next((each["href"] for each in page["links"] if each["rel"] == "next"), None)
        assert len(seen) == total
        assert all("id" not in feature for feature in seen)
        await fetch(nasty, f"/collections/{collection}/items/1", status=404)


async def test_types_arrive_whole(nasty: Client) -> None:
    page = await fetch(nasty, "/collections/nasty_types/items?limit=100")
    by_label = {
        feature["properties"]["label"]: feature["properties"] for feature in page["features"]
    }
    async with nasty.get("/collections/nasty_types/items?limit=100") as response:
        text = await response.text()
    assert "1234567890123456789012345678901234567890.12345678901234567890" in text
    assert by_label["largest"]["a_bigint"] == 9223372036854775807
    assert by_label["smallest"]["a_numeric"] == "NaN"
    assert by_label["smallest"]["a_double"] == "-Infinity"
    assert all(
        value is None for name, value in by_label["all null"].items() if name not in ("id", "label")
    )
    ordinary = next(
        each
        for each in by_label.values()
        if each["a_uuid"] == "6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
    )
    assert ordinary["a_jsonb"] == {"a": [1, None]}
    assert ordinary["an_inet"] == "192.168.1.5/24"
    assert isinstance(ordinary["some_integers"], list)
    assert isinstance(ordinary["a_composite"], dict)
    assert ordinary["a_timestamptz"].endswith("+00:00")
    assert ordinary["an_interval"].startswith("P")
    assert "\\x" not in ordinary["a_bytea"]


async def test_bigint_as_string_keeps_every_digit_for_javascript(nasty: Client) -> None:
    page = await fetch(nasty, "/collections/nasty_types/items?limit=100&bigint=string")
    by_label = {
        feature["properties"]["label"]: feature["properties"] for feature in page["features"]
    }
    assert by_label["largest"]["a_bigint"] == "9223372036854775807"
    assert (
        by_label["largest"]["a_numeric"]
        == "1234567890123456789012345678901234567890.12345678901234567890"
    )


def _scalar(value: Any) -> bool:
    return value is not None and not isinstance(value, (dict, list))


async def test_every_scalar_value_filters_its_own_row(nasty: Client) -> None:
    path = "/collections/nasty_types/items"
    page = await fetch(nasty, f"{path}?limit=100&bigint=string")
    refused = set()
    for feature in page["features"]:
        for name, value in feature["properties"].items():
            if not _scalar(value) or name in ("a_real", "a_char"):
                continue
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if "\0" in text:
                continue
            url = URL(path).with_query({name: text, "limit": "100"})
            async with nasty.get(url) as response:
                body = await response.json(content_type=None)
            if response.status == 400 and body["type"].endswith("unknown-parameter"):
                refused.add(name)
                continue
            assert response.status == 200, (name, text, body)
            assert feature["id"] in {each["id"] for each in body["features"]}, (name, text)
    assert (
        refused
        == {
            "a_jsonpath",
            "an_xml",
            "a_bit",
            "a_varbit",
            "an_int4range",
            "an_int8range",
            "a_numrange",
            "a_tsrange",
            "a_tstzrange",
            "a_daterange",
            "an_int4multirange",
            "a_tsvector",
            "a_tsquery",
            "a_point",
            "a_line",
            "a_lseg",
            "a_box",
            "a_path",
            "a_polygon",
            "a_circle",
            "a_regclass",
            "an_xid8",
            "a_bytea",
            "a_json",
            "a_jsonb",
            "a_single_char",
        }
        & refused
    )


@pytest.mark.parametrize(
    "collection", ["nasty_types", "nasty_sort", "nasty_times", "nasty_composite"]
)
async def test_paging_by_any_column_meets_every_row_once(nasty: Client, collection: str) -> None:
    path = f"/collections/{collection}/items"
    whole = await fetch(nasty, f"{path}?limit=100&skipGeometry=true")
    columns = whole["features"][0]["properties"]
    for name in columns:
        for sign in ("", "-"):
            ordered = await _status(
                nasty, f"{path}?sortby={sign}{quote(name)}&limit=100&skipGeometry=true"
            )
            if ordered is None:
                continue
            expected = [feature["id"] for feature in ordered["features"]]
            link: str | None = f"{path}?sortby={sign}{quote(name)}&limit=1&skipGeometry=true"
            seen = []
            while link:
                page = await fetch(nasty, link)
                seen += [feature["id"] for feature in page["features"]]
                link = next((each["href"] for each in page["links"] if each["rel"] == "next"), None)
            assert seen == expected, (name, sign)
            assert len(seen) == len(whole["features"])


async def _status(client: Client, path: str) -> Any:
    async with client.get(URL(path, encoded=True)) as response:
        body = await response.json(content_type=None)
    assert response.status in (200, 400), body
    return body if response.status == 200 else None


async def test_csv_tells_null_from_empty(nasty: Client) -> None:
    async with nasty.get(
        "/collections/nasty%20%22names%22%20%C3%BCn%C3%AFcode/items?f=csv&properties=select"
    ) as response:
        lines = (await response.text()).split("\r\n")
    assert lines[0] == '"WKT","select"'
    assert '"POINT EMPTY",""' in lines
    assert "," in lines


async def test_csv_of_every_type_can_be_read_back(nasty: Client) -> None:
    for collection in ("nasty_types", "nasty_sort", "nasty_text_key"):
        page = await fetch(nasty, f"/collections/{collection}/items?limit=100")
        async with nasty.get(f"/collections/{collection}/items?limit=100&f=csv") as response:
            table = list(csv.reader(io.StringIO(await response.text(), newline="")))
        assert len(table) == len(page["features"]) + 1
        assert all(len(line) == len(table[0]) for line in table)


async def test_times_intersect_intervals(nasty: Client, nasty_url: str) -> None:
    for text, condition in (
        (
            "2020-06-01T00:00:00Z",
            (
                "coalesce(valid_from, '-infinity') <= '2020-06-01Z' AND coalesce(valid_to,"
                " 'infinity') >= '2020-06-01Z'"
            ),
        ),
        ("../2020-01-01T00:00:00Z", "coalesce(valid_from, '-infinity') <= '2020-01-01Z'"),
        (
            "0000-01-01T00:00:00Z/2020-01-01T00:00:00Z",
            "coalesce(valid_from, '-infinity') <= '2020-01-01Z'",
        ),
        ("2020-01-01T00:00:00Z/..", "coalesce(valid_to, 'infinity') >= '2020-01-01Z'"),
    ):
        expected = await rows(nasty_url, f"SELECT id FROM nasty_times WHERE {condition}")
        page = await fetch(nasty, f"/collections/nasty_times/items?datetime={text}&limit=100")
        assert {each["id"] for each in page["features"]} == {row["id"] for row in expected}, text


async def test_functions_are_collections_with_parameters(nasty: Client) -> None:
    near = await fetch(nasty, "/collections/cities_near/items?lon=24.94&lat=60.17&metres=5000")
    far = await fetch(nasty, "/collections/cities_near/items?lon=24.94&lat=60.17&metres=20000000")
    assert 0 < len(near["features"]) < len(far["features"])
    problem = await fetch(nasty, "/collections/cities_near/items?lon=24.94", status=400)
    assert problem["parameter"] == "lat"
    problem = await fetch(nasty, "/collections/cities_near/items?lon=x&lat=1", status=400)
    assert problem["parameter"] == "lon"
    await fetch(
        nasty, "/collections/cities_founded/items?since=1900-01-01&country_codes={FI,SE}&mood=ok"
    )
    problem = await fetch(
        nasty,
        "/collections/cities_founded/items?since=1900-01-01&country_codes={FI&mood=ok",
        status=400,
    )
    assert "FI" not in problem["detail"]
    problem = await fetch(
        nasty, "/collections/always_fails/items", status=500
    )  # no value of the request took part
    assert "secret" not in json.dumps(problem)


async def test_a_bad_id_fails_nobody_else_and_is_not_found(
    service: Service, nasty_database_url: str
) -> None:
    for number, (kind, text) in enumerate(
        (
            ("interval", "i * interval '1 hour'"),
            ("timestamptz", "'2020-01-01Z'::timestamptz + i * interval '1h'"),
            ("time", "time '10:00' + i * interval '1 min'"),
            ("date", "date '2020-01-01' + i"),
        )
    ):
        await asyncio.to_thread(
            execute,
            nasty_database_url,
            f"CREATE TABLE keyed{number} AS SELECT ({text})::{kind} AS key, ST_SetSRID(ST_Point(i,"
            " i), 4326) AS geom"
            f" FROM generate_series(1, 8) i; ALTER TABLE keyed{number} ADD PRIMARY KEY (key)",
        )
    client = await service(nasty_database_url)
    for number in range(4):
        path = f"/collections/keyed{number}/items"
        ids = [quote(each["id"], safe="") for each in (await fetch(client, path))["features"]]
        assert len(ids) == 8
        bad = [
            fetch(client, f"{path}/{each}", status=404)
            for each in ("zzz", "x%20BC", "294277-01-01")
        ]
        await asyncio.gather(*(fetch(client, f"{path}/{each}") for each in ids), *bad)
