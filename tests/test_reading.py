"""What a map front end gets: documents, pages, features, exports, on the sample data."""

import csv
import io
import json
from itertools import pairwise

import geojson
import pytest
from yarl import URL

from geosvc.errors import SettingsError
from geosvc.settings import load_settings
from tests.conftest import Client, Service, execute
from tests.http import fetch


async def test_the_landing_page_links_to_everything(sample: Client) -> None:
    page = await fetch(sample, "/")
    rels = {link["rel"]: link for link in page["links"]}
    assert {"self", "service-desc", "conformance", "data"} <= rels.keys()
    for link in page["links"]:
        async with sample.get(URL(link["href"]).relative()) as response:
            assert response.status == 200, link
            assert response.content_type == link["type"].partition(";")[0]


@pytest.mark.parametrize(
    "path",
    [
        "/conformance",
        "/api",
        "/collections",
        "/collections/countries",
        "/collections/countries/schema",
    ],
)
async def test_a_document_is_there_with_a_slash_behind_its_path(sample: Client, path: str) -> None:
    plain = await fetch(sample, f"{path}?f=json")
    assert await fetch(sample, f"{path}/?f=json") == plain
    async with sample.post(f"{path}/") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS"
    async with sample.get(f"{path}//") as response:
        assert response.status == 404


async def test_conformance_names_features_core_and_geojson(sample: Client) -> None:
    classes = (await fetch(sample, "/conformance"))["conformsTo"]
    for name in ("core", "geojson"):
        assert f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{name}" in classes


async def test_collections_have_extents_and_links_without_a_scan(sample: Client) -> None:
    listed = (await fetch(sample, "/collections"))["collections"]
    assert [each["id"] for each in listed] == ["buildings", "cities", "countries", "streets"]
    for each in listed:
        xmin, ymin, xmax, ymax = each["extent"]["spatial"]["bbox"][0]
        assert -180.001 <= xmin < xmax <= 180.001
        assert -90.001 <= ymin < ymax <= 90.001
        assert {"self", "items"} <= {link["rel"] for link in each["links"]}
        assert each["description"]


async def test_an_exact_extent_is_found_on_demand_with_its_time(sample: Client) -> None:
    extent = (await fetch(sample, "/collections/buildings?extent=exact"))["extent"]
    assert extent["temporal"]["interval"][0][0] < extent["temporal"]["interval"][0][1]
    xmin, ymin, xmax, ymax = extent["spatial"]["bbox"][0]
    assert (xmin, ymin) > (24, 59)
    assert (xmax, ymax) < (28, 61)


async def test_countries_in_a_box_are_those_that_intersect_it(sample: Client) -> None:
    page = await fetch(sample, "/collections/countries/items?bbox=5,45,12,52&limit=50")
    names = {feature["id"] for feature in page["features"]}
    assert names == {"AUT", "BEL", "FRA", "DEU", "ITA", "LIE", "LUX", "NLD", "CHE"}
    assert page["numberMatched"] == page["numberReturned"] == 9


async def test_a_box_across_the_antimeridian_finds_both_sides(sample: Client) -> None:
    page = await fetch(
        sample, "/collections/countries/items?bbox=176,-20,-176,-15&limit=50&skipGeometry=true"
    )
    names = {feature["id"] for feature in page["features"]}
    assert "FJI" in names
    assert "BRA" not in names


async def test_features_are_valid_geojson_with_shells_counter_clockwise(sample: Client) -> None:
    page = await fetch(sample, "/collections/countries/items?limit=300")
    assert len(page["features"]) == 241
    for feature in page["features"]:
        parsed = geojson.loads(json.dumps(feature))
        assert parsed.is_valid, (feature["id"], parsed.errors())
        for polygon in feature["geometry"]["coordinates"]:
            assert _signed_area(polygon[0]) > 0, feature["id"]
            assert all(_signed_area(hole) < 0 for hole in polygon[1:]), feature["id"]


def _signed_area(ring: list[list[float]]) -> float:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))


async def test_a_page_links_to_the_next_until_the_last(sample: Client) -> None:
    path: str | None = "/collections/countries/items?limit=50&properties=name"
    seen: list[str] = []
    while path:
        page = await fetch(sample, path)
        seen += [feature["id"] for feature in page["features"]]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        path = following[0] if following else None
    assert len(seen) == len(set(seen)) == 241
    assert seen == sorted(seen)


async def test_an_id_may_hold_any_character(sample: Client) -> None:
    for encoded, feature_id in (("%7B%7D", "{}"), ("a%2Fb", "a/b"), ("%25", "%"), ("%3F%23", "?#")):
        problem = await fetch(sample, f"/collections/countries/items/{encoded}", 404)
        assert repr(feature_id) in problem["detail"]


async def test_offset_skips_features(sample: Client) -> None:
    first = await fetch(sample, "/collections/cities/items?limit=20&skipGeometry=true")
    second = await fetch(sample, "/collections/cities/items?limit=10&offset=10&skipGeometry=true")
    assert [each["id"] for each in first["features"][10:]] == [
        each["id"] for each in second["features"]
    ]


async def test_sortby_orders_by_several_columns(sample: Client) -> None:
    page = await fetch(
        sample, "/collections/countries/items?sortby=continent,-pop_est&limit=300&skipGeometry=true"
    )
    found = [
        (each["properties"]["continent"], each["properties"]["pop_est"])
        for each in page["features"]
    ]
    # PostgreSQL puts NULLs first when it descends
    expected = sorted(found, key=lambda pair: (pair[0], pair[1] is not None, -(pair[1] or 0)))
    assert found == expected


async def test_properties_and_skip_geometry_choose_what_is_sent(sample: Client) -> None:
    page = await fetch(
        sample, "/collections/countries/items?properties=name,iso_a2&skipGeometry=true&limit=3"
    )
    for feature in page["features"]:
        assert feature["geometry"] is None
        assert feature["properties"].keys() == {"name", "iso_a2"}


async def test_a_property_filters_by_equality(sample: Client) -> None:
    page = await fetch(
        sample, "/collections/countries/items?continent=Europe&limit=100&skipGeometry=true"
    )
    assert page["numberMatched"] == page["numberReturned"] > 40
    assert {feature["properties"]["continent"] for feature in page["features"]} == {"Europe"}


async def test_precision_limits_the_digits(sample: Client) -> None:
    page = await fetch(sample, "/collections/cities/items?precision=1&limit=100")
    for feature in page["features"]:
        assert all(round(value, 1) == value for value in feature["geometry"]["coordinates"])


async def test_simplify_and_zoom_level_drop_vertices(sample: Client) -> None:
    path = "/collections/countries/items/NOR"
    whole, simple, far = [
        str((await fetch(sample, path + query))["geometry"]).count("[")
        for query in ("", "?simplify=0.3", "?zoom-level=0")
    ]
    assert far < simple < whole


async def test_datetime_filters_by_the_time_of_the_edit(sample: Client) -> None:
    both = await fetch(sample, "/collections/buildings/items?count=exact&limit=1")
    before = await fetch(
        sample, "/collections/buildings/items?count=exact&limit=1&datetime=../2015-12-31"
    )
    after = await fetch(
        sample, "/collections/buildings/items?count=exact&limit=1&datetime=2016-01-01/.."
    )
    assert 0 < before["numberMatched"] < both["numberMatched"]
    assert before["numberMatched"] + after["numberMatched"] == both["numberMatched"]


@pytest.mark.parametrize("mode", ["exact", "estimated", "none"])
async def test_counts_say_whether_they_are_exact(sample: Client, mode: str) -> None:
    page = await fetch(sample, f"/collections/cities/items?limit=1&count={mode}")
    if mode == "exact":
        assert page["numberMatched"] == 69472
    elif mode == "estimated":
        assert "numberMatched" not in page
        assert abs(page["numberMatchedEstimate"] - 69472) < 7000
    else:
        assert "numberMatched" not in page
        assert "numberMatchedEstimate" not in page


async def test_an_estimate_goes_by_the_filter_too(sample: Client) -> None:
    page = await fetch(sample, "/collections/cities/items?limit=1&filter=country_code%3D'FI'")
    assert page.get("numberMatched", page.get("numberMatchedEstimate")) < 7000


async def test_an_item_has_its_links_and_is_found_by_id(sample: Client) -> None:
    feature = await fetch(sample, "/collections/countries/items/FIN")
    assert feature["id"] == "FIN"
    assert feature["properties"]["name"] == "Finland"
    rels = {link["rel"]: link["href"] for link in feature["links"]}
    assert rels.keys() >= {"self", "collection"}
    assert await fetch(sample, rels["self"]) == feature


@pytest.mark.parametrize("limit", [200, 3000])
async def test_csv_and_sequences_hold_the_same_features_as_geojson(
    sample: Client, limit: int
) -> None:
    path = f"/collections/streets/items?limit={limit}&sortby=osm_id"
    page = await fetch(sample, path)
    async with sample.get(f"{path}&f=geojsonseq") as response:
        assert response.content_type == "application/geo+json-seq"
        records = (await response.text()).split("\x1e")[1:]
    assert [json.loads(record) for record in records] == page["features"]
    async with sample.get(f"{path}&f=csv") as response:
        assert response.content_type == "text/csv"
        rows = list(csv.DictReader(io.StringIO(await response.text())))
    assert [row["osm_id"] for row in rows] == [
        str(each["properties"]["osm_id"]) for each in page["features"]
    ]
    assert all(row["WKT"].startswith("LINESTRING") for row in rows)


async def test_an_export_streams_every_feature_as_a_download(sample: Client) -> None:
    async with sample.get("/collections/cities/export?properties=name") as response:
        assert response.status == 200
        assert "attachment" in response.headers["Content-Disposition"]
        features = json.loads(await response.read())["features"]
    assert len(features) == 69472
    assert len({feature["id"] for feature in features}) == 69472


async def test_an_export_takes_the_same_filters_as_a_page(sample: Client) -> None:
    page = await fetch(sample, "/collections/cities/items?bbox=24,60,26,61&limit=1000")
    export = await fetch(sample, "/collections/cities/export?bbox=24,60,26,61")
    assert export["features"] == page["features"]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_bodies_are_compressed_for_those_who_take_it(sample: Client, coding: str) -> None:
    for path in (
        "/collections/cities/items?limit=1000",
        "/collections/cities/export?bbox=0,0,90,90",
    ):
        async with sample.get(path, headers={"Accept-Encoding": coding}) as response:
            assert response.headers["Content-Encoding"] == coding
            assert "Accept-Encoding" in response.headers["Vary"]
            assert json.loads(await response.read())["features"]
    async with sample.get("/", headers={"Accept-Encoding": f"{coding};q=0, identity"}) as response:
        assert "Content-Encoding" not in response.headers


async def test_head_answers_like_get_without_a_body(sample: Client) -> None:
    for path in (
        "/",
        "/collections",
        "/collections/cities/items",
        "/collections/cities/items?limit=5000",
        "/collections/cities/export",
        "/collections/countries/items/FIN",
    ):
        async with sample.head(path) as response:
            assert response.status == 200, path
            assert await response.read() == b""
    async with sample.head("/collections/nothing/items") as response:
        assert response.status == 404


async def test_a_browser_of_another_origin_may_read_and_preflight(sample: Client) -> None:
    origin = {"Origin": "https://maps.example"}
    for path in (
        "/collections/cities/items",
        "/collections/cities/export?bbox=0,0,1,1",
        "/nowhere",
    ):
        async with sample.get(path, headers=origin) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert "Content-Crs" in response.headers["Access-Control-Expose-Headers"]
    preflight = {
        **origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "x-request-id",
    }
    async with sample.options("/collections/cities/items", headers=preflight) as response:
        assert response.status == 204
        assert "GET" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_only_the_origins_of_the_setting_may_read(service: Service, sample_url: str) -> None:
    client = await service(sample_url, cors_origins="https://maps.example")
    async with client.get("/", headers={"Origin": "https://maps.example"}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "https://maps.example"
        assert "Origin" in ", ".join(response.headers.getall("Vary"))
    async with client.get("/", headers={"Origin": "https://other.example"}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "origin", ["https://maps.example/", "maps.example", "null", "https://*.example"]
)
async def test_an_origin_that_no_browser_sends_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(SettingsError, match="CORS_ORIGINS"):
        load_settings(database_url="postgresql://x@y/z", cors_origins=origin)


async def test_everything_says_that_its_type_is_not_to_be_guessed(sample: Client) -> None:
    for path in (
        "/",
        "/?f=html",
        "/collections/cities/items",
        "/collections/cities/export?f=csv&limit=1",
        "/nowhere",
        "/api",
    ):
        async with sample.get(path) as response:
            assert response.headers["X-Content-Type-Options"] == "nosniff", path


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", 'a"=1', "'=1", "", None)


@pytest.fixture
def cells_url(bare_database_url: str) -> str:
    execute(
        bare_database_url,
        f"""CREATE TABLE cells (id int PRIMARY KEY, t text, n int, geom geometry(Point, 4326));
        INSERT INTO cells SELECT number, value, -5, NULL
        FROM json_array_elements_text($json${json.dumps(FORMULAS)}$json$) WITH ORDINALITY AS each (value, number)""",
    )
    return bare_database_url


@pytest.mark.parametrize("escapes", [False, True])
async def test_texts_that_spreadsheets_run_can_be_escaped_in_csv(
    service: Service, cells_url: str, escapes: bool
) -> None:
    client = await service(cells_url, csv_escape_formulas=escapes)
    for path in ("items?f=csv&limit=20", "export?f=csv"):
        async with client.get(f"/collections/cells/{path}") as response:
            rows = list(csv.DictReader(io.StringIO(await response.text(), newline="")))
        dangerous = [escapes and bool(text) and text[0] in "=+-@\t\r" for text in FORMULAS]  # type: ignore[index]  # not None
        expected = [
            f"'{text}" if bad else text or "" for text, bad in zip(FORMULAS, dangerous, strict=True)
        ]
        assert [row["t"] for row in rows] == expected
        assert {row["n"] for row in rows} == {"-5"}


async def test_options_says_what_a_resource_takes(sample: Client) -> None:
    async with sample.options("/collections/cities/items") as response:
        assert response.status == 200
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_a_request_id_is_kept_or_given(sample: Client) -> None:
    async with sample.get("/", headers={"X-Request-ID": "mine-1"}) as response:
        assert response.headers["X-Request-ID"] == "mine-1"
    async with sample.get("/collections/cities/export?bbox=0,0,1,1") as response:
        assert len(response.headers["X-Request-ID"]) >= 16
    async with sample.get("/", headers={"X-Request-ID": "x" * 500}) as response:
        assert response.headers["X-Request-ID"] != "x" * 500


async def test_links_use_the_public_url_of_the_setting(service: Service, sample_url: str) -> None:
    client = await service(sample_url, public_url="https://example.org/geo/")
    for path in (
        "/",
        "/collections",
        "/collections/cities",
        "/collections/cities/items",
        "/collections/countries/items/FIN",
    ):
        for link in (await fetch(client, path))["links"]:
            assert link["href"].startswith("https://example.org/geo/"), (path, link)
