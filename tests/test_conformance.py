"""What is declared in `/conformance` is tested, class by class; Part 1 requirement by requirement.

Source: the abstract test suites of OGC 17-069r4, 19-072, 20-024, 19-079r2, 21-065r2, 23-058r2.
"""

import ast
import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator
from yarl import URL

from geosvc.handlers.conformance_classes import (
    CONFORMANCE,
    FILTERING,
    LOCKING_BY_TIME,
    QUERYABLES_AS_PARAMETERS,
    SCHEMAS,
    TILES,
    WRITING,
)
from tests.conftest import Client, Service, execute, with_database
from tests.http import fetch

SPEC = "http://www.opengis.net/spec"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
TABLES = """
CREATE TABLE sites (
  id integer PRIMARY KEY, name text NOT NULL, height float8, seen timestamptz, tags text[], geom geometry(Point, 4326));
INSERT INTO sites VALUES
  (1, 'Zürich', 400, '2024-01-01T00:00:00Z', '{a,b}', 'SRID=4326;POINT(8.5 47.4)'),
  (2, 'Helsinki', 10, '2024-06-01T00:00:00Z', '{b}', 'SRID=4326;POINT(24.9 60.2)'),
  (3, 'nowhere', NULL, NULL, NULL, NULL),
  (4, 'Taveuni', 100, '2025-01-01T00:00:00Z', '{c}', 'SRID=4326;POINT(179.9 -16.8)'),
  (5, 'Niue', 60, '2025-02-01T00:00:00Z', '{c}', 'SRID=4326;POINT(-169.9 -19.0)');
CREATE TABLE "a b/ü" (code text PRIMARY KEY, geom geometry(Polygon, 3067));
INSERT INTO "a b/ü" VALUES ('x,y', ST_MakeEnvelope(380000, 6670000, 390000, 6680000, 3067));
CREATE TABLE empty (id integer PRIMARY KEY, geom geometry);
"""
HERE = "test_conformance.py"
# of each requirement of the class core, the test here that walks it
CORE = {
    "root-op": "test_the_landing_page_links_to_the_api_conformance_and_collections",
    "root-success": "test_the_landing_page_links_to_the_api_conformance_and_collections",
    "api-definition-op": "test_the_api_definition_is_where_the_landing_page_says",
    "api-definition-success": "test_the_api_definition_is_where_the_landing_page_says",
    "conformance-op": "test_the_conformance_declaration_is_a_list_of_uris",
    "conformance-success": "test_the_conformance_declaration_is_a_list_of_uris",
    "http": "test_the_service_speaks_http_1_1_with_its_statuses",
    "query-param-unknown": "test_unknown_and_invalid_parameters_are_bad_requests",
    "query-param-invalid": "test_unknown_and_invalid_parameters_are_bad_requests",
    "crs84": "test_geometries_are_in_crs84_by_default",
    "fc-md-op": "test_the_collections_are_listed_with_their_links",
    "fc-md-success": "test_the_collections_are_listed_with_their_links",
    "fc-md-links": "test_the_collections_are_listed_with_their_links",
    "fc-md-items": "test_every_collection_is_in_the_list_and_the_same_by_itself",
    "fc-md-items-links": "test_every_collection_is_in_the_list_and_the_same_by_itself",
    "fc-md-extent": "test_the_extent_holds_every_feature",
    "sfc-md-op": "test_every_collection_is_in_the_list_and_the_same_by_itself",
    "sfc-md-success": "test_every_collection_is_in_the_list_and_the_same_by_itself",
    "fc-op": "test_every_collection_has_features",
    "fc-limit-definition": "test_limit_is_defined_and_kept",
    "fc-limit-response-1": "test_limit_is_defined_and_kept",
    "fc-bbox-definition": "test_bbox_is_defined_and_selects_what_intersects",
    "fc-bbox-response": "test_bbox_is_defined_and_selects_what_intersects",
    "fc-time-definition": "test_datetime_is_defined_and_selects_what_intersects",
    "fc-time-response": "test_datetime_is_defined_and_selects_what_intersects",
    "fc-response": "test_every_collection_has_features",
    "fc-links": "test_features_link_to_themselves_and_their_other_media_types",
    "fc-rel-type": "test_features_link_to_themselves_and_their_other_media_types",
    "fc-timeStamp": "test_the_time_stamp_and_the_numbers_are_right",
    "fc-numberMatched": "test_the_time_stamp_and_the_numbers_are_right",
    "fc-numberReturned": "test_the_time_stamp_and_the_numbers_are_right",
    "f-op": "test_every_feature_is_found_by_its_id",
    "f-success": "test_every_feature_is_found_by_its_id",
    "f-links": "test_every_feature_is_found_by_its_id",
}
PAGES = (
    "test_pages.py::test_every_resource_is_a_page_without_faults",
    "test_pages.py::test_a_page_and_its_json_link_to_each_other",
)
OPENAPI = (
    f"{HERE}::test_the_api_definition_is_valid_openapi_3_0_and_complete",
    "test_schemathesis.py::test_schemathesis_finds_nothing",
    "test_declared.py::test_every_operation_refuses_a_wrong_value_of_each_of_its_parameters_by_name",
)
CQL2 = (
    f"{HERE}::test_a_filter_of_each_class_selects_what_it_says",
    "test_cql2_assertions.py::test_every_assertion_holds_in_text_and_in_json",
)
CREATING = (
    "create_makes_a_feature_with_a_new_id",
    "replace_sets_everything_and_passes_over_an_id_in_the_body",
    "delete_deletes",
)
PART4: Mapping[str, tuple[str, ...]] = {
    "create-replace-delete": ("options_tell_what_can_be_done", *CREATING),
    "update": ("update_changes_what_it_names",),
    "features": ("the_schema_is_kept_to", "content_crs_tells_the_reference_system", *CREATING),
    "optimistic-locking-etags": ("etags_lock",),
    "optimistic-locking-timestamps": ("timestamps_lock",),
    "return-resource-representation-in-response": ("return_preferences_are_heeded",),
    "handling": ("handling_preferences_are_heeded",),
}
DOCUMENTED = "test_schemas.py::test_a_schema_is_a_valid_json_schema_at_its_own_id"
ROLES = "test_schemas.py::test_roles_are_those_of_the_key_the_time_and_foreign_keys"
LINKED = "test_schemas.py::test_a_collection_links_to_its_schemas_in_the_list_and_by_itself"
TILE_CLASSES: Mapping[str, tuple[str, ...]] = {
    "ogcapi-tiles-1/1.0/conf/core": (
        "a_tile_has_the_features_of_its_area",
        "what_is_not_there_is_404_and_what_is_no_number_is_400",
        "an_empty_tile_is_204_and_says_so",
    ),
    "ogcapi-tiles-1/1.0/conf/tileset": ("a_tileset_describes_its_layer_and_leads_to_its_tiles",),
    "ogcapi-tiles-1/1.0/conf/tilesets-list": ("every_collection_lists_its_tilesets",),
    "ogcapi-tiles-1/1.0/conf/dataset-tilesets": ("the_dataset_has_tilesets_of_all_collections",),
    "ogcapi-tiles-1/1.0/conf/geodata-tilesets": ("every_collection_lists_its_tilesets",),
    "ogcapi-tiles-1/1.0/conf/collections-selection": ("collections_selects_the_layers",),
    "ogcapi-tiles-1/1.0/conf/datetime": ("parameters_select_what_they_select_among_items",),
    "ogcapi-tiles-1/1.0/conf/mvt": ("a_tile_has_the_features_of_its_area",),
    "ogcapi-tiles-1/1.0/conf/oas30": ("operations_have_the_ids_that_clients_look_for",),
    "tms/2.0/conf/tilematrixset": ("a_tile_matrix_set_is_its_registered_definition",),
    "tms/2.0/conf/json-tilematrixset": ("a_tile_matrix_set_is_its_registered_definition",),
}
# of each class that is declared, the tests that show that it holds
CLASSES: Mapping[str, tuple[str, ...]] = {
    "ogcapi-common-1/1.0/conf/core": (
        f"{HERE}::{CORE['http']}",
        f"{HERE}::{CORE['query-param-unknown']}",
    ),
    "ogcapi-common-1/1.0/conf/landing-page": (
        f"{HERE}::{CORE['root-op']}",
        f"{HERE}::{CORE['api-definition-op']}",
    ),
    "ogcapi-common-1/1.0/conf/json": (f"{HERE}::test_documents_are_json",),
    "ogcapi-common-1/1.0/conf/html": PAGES,
    "ogcapi-common-1/1.0/conf/oas30": OPENAPI,
    "ogcapi-common-2/1.0/conf/collections": (
        f"{HERE}::{CORE['fc-md-items']}",
        f"{HERE}::{CORE['fc-md-extent']}",
    ),
    "ogcapi-features-1/1.0/conf/core": tuple(
        f"{HERE}::{name}" for name in dict.fromkeys(CORE.values())
    ),
    "ogcapi-features-1/1.0/conf/geojson": (f"{HERE}::test_features_are_geojson",),
    "ogcapi-features-1/1.0/conf/html": PAGES,
    "ogcapi-features-1/1.0/conf/oas30": OPENAPI,
    "ogcapi-features-2/1.0/conf/crs": (
        "test_crs.py::test_a_collection_lists_what_it_can_be_had_in",
        "test_crs.py::test_every_coordinate_agrees_with_proj_to_the_millimetre",
        "test_crs.py::test_content_crs_is_on_every_answer_with_features",
        "test_crs.py::test_a_reference_system_that_is_not_listed_is_refused_with_those_that_are",
        "test_crs.py::test_a_box_selects_what_shapely_finds_in_the_same_box",
    ),
    "ogcapi-common-3/1.0/conf/schemas": (
        DOCUMENTED,
        "test_schemas.py::test_every_property_has_a_type_or_is_a_geometry",
    ),
    "ogcapi-features-5/1.0/conf/schemas": (DOCUMENTED, LINKED),
    "ogcapi-common-3/1.0/conf/advanced-property-roles": (
        "test_schemas.py::test_roles_are_those_of_the_key_the_time_and_foreign_keys",
    ),
    "ogcapi-common-3/1.0/conf/references": (
        ROLES,
        "test_schemas.py::test_a_reference_to_what_is_not_served_is_none",
    ),
    "ogcapi-common-3/1.0/conf/returnables-and-receivables": (
        LINKED,
        "test_schemas.py::test_what_is_read_only_or_unknown_is_refused_and_what_is_required_is_missed",
    ),
    "ogcapi-common-3/1.0/conf/queryables": (
        LINKED,
        DOCUMENTED,
        f"{HERE}::test_only_queryables_can_be_filtered_by",
    ),
    "ogcapi-common-3/1.0/conf/sortables": (
        LINKED,
        DOCUMENTED,
        "test_schemas.py::test_sortables_are_what_sortby_takes",
    ),
    "ogcapi-features-3/1.0/conf/queryables": (
        "test_schemas.py::test_what_can_be_filtered_links_to_its_queryables_in_a_header",
        f"{HERE}::test_only_queryables_can_be_filtered_by",
    ),
    "ogcapi-features-3/1.0/conf/queryables-query-parameters": (
        "test_schemas.py::test_every_simple_queryable_is_a_parameter_with_the_same_schema",
        f"{HERE}::test_every_simple_queryable_selects_the_features_with_its_value",
    ),
    "ogcapi-features-3/1.0/conf/filter": (
        f"{HERE}::test_filters_and_their_parameters_are_parsed_as_part_3_has_them",
    ),
    "ogcapi-features-3/1.0/conf/features-filter": (
        f"{HERE}::test_filters_and_their_parameters_are_parsed_as_part_3_has_them",
    ),
    **{
        name: tuple(f"test_tiles.py::test_{test}" for test in tests)
        for name, tests in TILE_CLASSES.items()
    },
    **{uri.removeprefix(f"{SPEC}/"): CQL2 for uri in FILTERING if "/cql2/" in uri},
    **{
        f"{part}/1.0/conf/{name}": tuple(f"test_part4.py::test_{test}" for test in tests)
        for name, tests in PART4.items()
        for part in ("ogcapi-common-5", "ogcapi-features-4")
        if f"{SPEC}/{part}/1.0/conf/{name}" in (*WRITING, *LOCKING_BY_TIME)
    },
}
DECLARED = (
    *CONFORMANCE,
    *SCHEMAS,
    *FILTERING,
    QUERYABLES_AS_PARAMETERS,
    *TILES,
    *WRITING,
    *LOCKING_BY_TIME,
)
FILTERS = {
    "basic-cql2": ("height > 50 AND NOT (name = 'Taveuni' OR name IS NULL)", [1, 5]),
    "advanced-comparison-operators": (
        "name LIKE 'Z%' OR (height BETWEEN 5 AND 20 AND id IN (1, 2))",
        [1, 2],
    ),
    "case-insensitive-comparison": ("CASEI(name) = CASEI('HELSINKI')", [2]),
    "accent-insensitive-comparison": ("ACCENTI(name) = ACCENTI('Zurich')", [1]),
    "basic-spatial-functions": ("S_INTERSECTS(geom, BBOX(8, 47, 9, 48))", [1]),
    "basic-spatial-operators": ("S_INTERSECTS(geom, POINT(24.9 60.2))", [2]),
    "basic-spatial-functions-plus": (
        "S_INTERSECTS(geom, POLYGON((8 47, 9 47, 9 48, 8 48, 8 47)))",
        [1],
    ),
    "spatial-functions": (
        "S_DISJOINT(geom, BBOX(8, 47, 9, 48)) AND S_WITHIN(geom, BBOX(0, 0, 90, 90))",
        [2],
    ),
    "temporal-functions": ("T_AFTER(seen, TIMESTAMP('2025-01-15T00:00:00Z'))", [5]),
    "array-functions": ("A_CONTAINS(tags, ('b'))", [1, 2]),
    "property-property": ("height < id", []),
    "arithmetic": ("height * 2 - 5 = 15", [2]),
    "functions": (None, []),
    "cql2-text": ("id = 1", [1]),
    "cql2-json": ('{"op": "=", "args": [{"property": "id"}, 1]}', [1]),
}


@pytest.fixture(scope="module")
def site_url(server_url: str, bare_template: str) -> str:
    """The tables, shared by the tests here, which only read."""
    name = "geosvc_conformance"
    execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{bare_template}"')
    url = with_database(server_url, name)
    execute(url, TABLES)
    return url


@pytest.fixture
async def client(service: Service, site_url: str) -> Client:
    return await service(site_url)


def path_of(href: str) -> str:
    return URL(href, encoded=True).raw_path_qs


def path(name: str, rest: str = "") -> str:
    return f"/collections/{quote(name, safe='')}{rest}"


def by_rel(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for link in document["links"]:
        assert link["rel"]
        assert link["type"]
        assert URL(link["href"], encoded=True).absolute
        found.setdefault(link["rel"], []).append(link)
    return found


async def ids(client: Client, query: str) -> list[Any]:
    return [
        feature["id"]
        for feature in (await fetch(client, f"/collections/sites/items?{query}"))["features"]
    ]


async def collections(client: Client) -> AsyncIterator[dict[str, Any]]:
    for each in (await fetch(client, "/collections"))["collections"]:
        yield each


def test_every_class_that_is_declared_has_a_test_and_every_test_is_there() -> None:
    assert {f"{SPEC}/{name}" for name in CLASSES} == set(DECLARED)
    assert len(DECLARED) == len(set(DECLARED))
    folder = Path(__file__).parent
    for name, tests in CLASSES.items():
        assert tests, name
        for test in tests:
            file, _, function = test.partition("::")
            tree = ast.parse((folder / file).read_text("utf-8"))
            assert function in {
                node.name
                for node in tree.body
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }, test


async def test_the_conformance_declaration_is_a_list_of_uris(
    client: Client, service: Service, site_url: str
) -> None:
    declared = (await fetch(client, "/conformance"))["conformsTo"]
    assert declared == [*CONFORMANCE, *SCHEMAS, *FILTERING, *TILES, QUERYABLES_AS_PARAMETERS]
    writable = await service(site_url, writable=("*",), collections={"sites": {"modified": "seen"}})
    assert set((await fetch(writable, "/conformance"))["conformsTo"]) == set(DECLARED)


async def test_the_landing_page_links_to_the_api_conformance_and_collections(
    client: Client,
) -> None:
    links = by_rel(await fetch(client, "/"))
    assert {"service-desc", "service-doc"} & links.keys()
    assert [path_of(each["href"]) for each in links["conformance"]] == ["/conformance"]
    assert [path_of(each["href"]) for each in links["data"]] == ["/collections"]
    assert {"self", "alternate"} <= links.keys()


async def test_the_api_definition_is_where_the_landing_page_says(client: Client) -> None:
    links = by_rel(await fetch(client, "/"))
    (described,) = links["service-desc"]
    async with client.get(
        path_of(described["href"]), headers={"Accept": described["type"]}
    ) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == described["type"]
    for page in links.get("service-doc", ()):
        async with client.get(path_of(page["href"]), headers={"Accept": page["type"]}) as response:
            assert (response.status, response.content_type) == (200, page["type"].partition(";")[0])


async def test_the_api_definition_is_valid_openapi_3_0_and_complete(client: Client) -> None:
    """/conf/oas30: completeness, exceptions-codes, oas-definition, oas-impl; nothing here is
    secured.
    """
    api = await fetch(client, "/api")
    assert api["openapi"].startswith("3.0.")
    assert list(OpenAPIV30SpecValidator(api).iter_errors()) == []
    async for each in collections(client):
        for rest in ("", "/items", "/items/{featureId}"):
            responses = api["paths"][path(each["id"], rest)]["get"]["responses"]
            assert {"200", "400", "404", "500"} <= responses.keys()
    assert "security" not in api


async def test_documents_are_json(client: Client) -> None:
    for document in ("/", "/conformance", "/collections", "/collections/sites"):
        async with client.get(document, headers={"Accept": "application/json"}) as response:
            assert (response.status, response.content_type) == (200, "application/json")
            assert isinstance(await response.json(), dict)


async def test_the_service_speaks_http_1_1_with_its_statuses(client: Client) -> None:
    async with client.get("/") as response:
        assert response.version is not None
        assert (response.version.major, response.version.minor) == (1, 1)
    for wanted, method, target, headers in (
        (404, "GET", "/nosuch", {}),
        (404, "GET", "/collections/nosuch/items", {}),
        (404, "GET", "/collections/sites/items/99", {}),
        (405, "DELETE", "/collections", {}),
        (406, "GET", "/collections/sites", {"Accept": "image/png"}),
        (304, "GET", "/collections/sites", {"If-None-Match": "*"}),
        (200, "HEAD", "/collections/sites/items", {}),
        (200, "OPTIONS", "/collections/sites/items", {}),
    ):
        async with client.request(method, target, headers=headers) as response:
            assert response.status == wanted, (method, target)
            assert ("Allow" in response.headers) == (wanted == 405 or method == "OPTIONS")


@pytest.mark.parametrize(
    "query",
    ["nosuch=1", "limit=0", "limit=ten", "bbox=1,2,3", "bbox=a,b,c,d", "datetime=soon", "f=gml"],
)
async def test_unknown_and_invalid_parameters_are_bad_requests(client: Client, query: str) -> None:
    assert (await fetch(client, f"/collections/sites/items?{query}", 400))["status"] == 400
    if query == "nosuch=1":
        for document in (
            "/",
            "/api",
            "/conformance",
            "/collections",
            "/collections/sites",
            "/collections/sites/items/1",
        ):
            assert (await fetch(client, f"{document}?{query}", 400))["parameter"] == "nosuch"


async def test_geometries_are_in_crs84_by_default(client: Client) -> None:
    async with client.get("/collections/sites/items/2") as response:
        assert response.headers["Content-Crs"] == f"<{CRS84}>"
        assert (await response.json(content_type=None))["geometry"] == {
            "type": "Point",
            "coordinates": [24.9, 60.2],
        }
    (feature,) = (await fetch(client, path("a b/ü", "/items")))["features"]
    x, y = feature["geometry"]["coordinates"][0][0]
    assert (24 < x < 26, 60 < y < 61) == (True, True)


async def test_the_collections_are_listed_with_their_links(client: Client) -> None:
    links = by_rel(await fetch(client, "/collections"))
    assert len(links["self"]) == 1
    for each in links["alternate"]:
        async with client.get(path_of(each["href"]), headers={"Accept": each["type"]}) as response:
            assert (response.status, response.content_type) == (200, each["type"].partition(";")[0])


async def test_every_collection_is_in_the_list_and_the_same_by_itself(client: Client) -> None:
    listed = [each async for each in collections(client)]
    assert {each["id"] for each in listed} == {"sites", "a b/ü", "empty"}
    for each in listed:
        alone = await fetch(client, path(each["id"]))
        assert alone["id"] == each["id"]
        assert alone.get("itemType", "feature") == "feature"
        assert CRS84 in alone["crs"]
        assert {link["href"] for link in each["links"] if link["rel"] == "items"} == {
            link["href"] for link in alone["links"] if link["rel"] == "items"
        }
        for link in by_rel(alone)["items"]:
            async with client.get(
                path_of(link["href"]), headers={"Accept": link["type"]}
            ) as response:
                assert (response.status, response.content_type) == (
                    200,
                    link["type"].partition(";")[0],
                )


async def test_the_extent_holds_every_feature(client: Client) -> None:
    extent = (await fetch(client, "/collections/sites?extent=exact"))["extent"]
    (west, south, east, north), (start, end) = (
        extent["spatial"]["bbox"][0],
        extent["temporal"]["interval"][0],
    )
    for feature in (await fetch(client, "/collections/sites/items"))["features"]:
        if feature["geometry"] is not None:
            x, y = feature["geometry"]["coordinates"]
            assert west <= x <= east
            assert south <= y <= north
            seen = datetime.fromisoformat(feature["properties"]["seen"])
            assert datetime.fromisoformat(start) <= seen <= datetime.fromisoformat(end)


async def test_every_collection_has_features(client: Client) -> None:
    async for each in collections(client):
        async with client.get(URL(path(each["id"], "/items"), encoded=True)) as response:
            assert response.status == 200
            assert response.content_type == "application/geo+json"
            body = await response.json(content_type=None)
        assert body["type"] == "FeatureCollection"
        assert isinstance(body["features"], list)


async def test_limit_is_defined_and_kept(client: Client, service: Service, site_url: str) -> None:
    api = await fetch(client, "/api")
    schema = api["components"]["parameters"]["limit"]["schema"]
    assert (schema["type"], schema["minimum"]) == ("integer", 1)
    assert schema["default"] <= schema["maximum"]
    for limit in (1, 2, 5, 100):
        assert len(await ids(client, f"limit={limit}")) == min(limit, 5)
    small = await service(site_url, limit_max=3, limit_default=2)
    assert len(await ids(small, "limit=1000000")) == 3  # C: more than the maximum is no error
    assert len(await ids(small, "")) == 2


async def test_bbox_is_defined_and_selects_what_intersects(client: Client) -> None:
    api = await fetch(client, "/api")
    defined = api["components"]["parameters"]["bbox"]
    assert (defined["in"], defined["style"], defined["explode"]) == ("query", "form", False)
    assert "required" not in defined
    schema = defined["schema"]
    assert (schema["type"], schema["minItems"], schema["maxItems"], schema["items"]["type"]) == (
        "array",
        4,
        6,
        "number",
    )
    # 3 has no geometry, and matches every box (C)
    assert await ids(client, "bbox=8,47,9,48") == [1, 3]
    assert await ids(client, "bbox=8.5,47.4,8.5,47.4") == [1, 3]
    assert await ids(client, "bbox=8,47,-100,9,48,100") == [1, 3]
    assert await ids(client, "bbox=170,-20,-160,0") == [3, 4, 5]  # across the antimeridian
    assert await ids(client, "bbox=0,0,1,1") == [3]


async def test_datetime_is_defined_and_selects_what_intersects(client: Client) -> None:
    api = await fetch(client, "/api")
    defined = api["components"]["parameters"]["datetime"]
    assert (defined["in"], defined["schema"]["type"]) == ("query", "string")
    assert "required" not in defined
    # 3 has no time, and matches every interval (C)
    assert await ids(client, "datetime=2024-06-01T00:00:00Z") == [2, 3]
    assert await ids(client, "datetime=2024-01-01T00:00:00Z/2024-12-31T23:59:59Z") == [1, 2, 3]
    assert await ids(client, "datetime=2025-01-01T00:00:00Z/..") == [3, 4, 5]
    assert await ids(client, "datetime=../2024-01-01T00:00:00Z") == [1, 3]
    assert await ids(client, "datetime=/2024-01-01T00:00:00Z") == [1, 3]
    assert await ids(client, "datetime=2026-01-01T00:00:00Z/") == [3]


async def test_features_link_to_themselves_and_their_other_media_types(client: Client) -> None:
    links = by_rel(await fetch(client, "/collections/sites/items?limit=2"))
    (own,) = links["self"]
    assert path_of(own["href"]) == "/collections/sites/items?limit=2"
    for each in (own, *links["alternate"]):
        async with client.get(path_of(each["href"])) as response:
            assert (response.status, response.content_type) == (200, each["type"].partition(";")[0])
    seen, following = [1, 2], links["next"][0]
    while following:
        page = await fetch(client, following["href"])
        seen += [feature["id"] for feature in page["features"]]
        following = next(iter(by_rel(page).get("next", [])), {})
    assert seen == [1, 2, 3, 4, 5]


async def test_the_time_stamp_and_the_numbers_are_right(client: Client) -> None:
    for query, matched in (("", 5), ("limit=2", 5), ("bbox=8,47,9,48", 2), ("name=Niue", 1)):
        page = await fetch(client, f"/collections/sites/items?count=exact&{query}")
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", page["timeStamp"]
        )
        assert abs(datetime.fromisoformat(page["timeStamp"]) - datetime.now(UTC)) < timedelta(
            minutes=1
        )
        assert page["numberMatched"] == matched
        assert page["numberReturned"] == len(page["features"])


async def test_every_feature_is_found_by_its_id(client: Client) -> None:
    async for each in collections(client):
        for feature in (await fetch(client, path(each["id"], "/items")))["features"]:
            target = path(each["id"], f"/items/{quote(str(feature['id']), safe='')}")
            async with client.get(URL(target, encoded=True)) as response:
                assert (response.status, response.content_type) == (200, "application/geo+json")
                alone = await response.json(content_type=None)
            assert {name: alone[name] for name in ("id", "geometry", "properties")} == {
                name: feature[name] for name in ("id", "geometry", "properties")
            }
            links = by_rel(alone)
            assert path_of(links["self"][0]["href"]) == target
            assert links["alternate"]
            assert path_of(links["collection"][0]["href"]) == path(each["id"])


async def test_features_are_geojson(client: Client) -> None:
    """/conf/geojson: definition and content. Source: RFC 7946."""
    page = await fetch(
        client, "/collections/sites/items", headers={"Accept": "application/geo+json"}
    )
    for feature in page["features"]:
        assert feature["type"] == "Feature"
        assert {"id", "geometry", "properties"} <= feature.keys()
        assert feature["geometry"] is None or feature["geometry"]["type"] == "Point"
        assert "crs" not in feature


async def test_only_queryables_can_be_filtered_by(client: Client) -> None:
    for name in (await fetch(client, "/collections/sites/queryables"))["properties"]:
        await fetch(client, f"/collections/sites/items?filter={quote(name + ' IS NULL')}")
    assert (await fetch(client, "/collections/sites/items?filter=nosuch%20IS%20NULL", 400))[
        "parameter"
    ] == "filter"


async def test_every_simple_queryable_selects_the_features_with_its_value(client: Client) -> None:
    queryables = (await fetch(client, "/collections/sites/queryables"))["properties"]
    simple = [
        name
        for name, schema in queryables.items()
        if schema.get("type") in ("string", "number", "integer", "boolean")
    ]
    assert simple == ["id", "name", "height", "seen"]
    for feature in (await fetch(client, "/collections/sites/items"))["features"]:
        for name in simple:
            if (value := feature["properties"][name]) is not None:
                assert feature["id"] in await ids(client, f"{name}={quote(str(value))}")
                assert len(await ids(client, f"{name}={quote(str(value))}")) == 1


async def test_filters_and_their_parameters_are_parsed_as_part_3_has_them(client: Client) -> None:
    """/conf/filter and /conf/features-filter."""
    items = "/collections/sites/items"
    assert await ids(client, f"filter={quote('name IS NULL')}") == []
    assert await ids(client, f"filter={quote('height IS NULL')}&filter-lang=cql2-text") == [3]
    assert (await fetch(client, f"{items}?filter={quote('THIS IS NOT A FILTER')}", 400))[
        "status"
    ] == 400
    assert (await fetch(client, f"{items}?filter=id=1&filter-lang=sql", 400))[
        "parameter"
    ] == "filter-lang"
    assert (await fetch(client, f"{items}?filter=id=1&filter-crs=http://example.org", 400))[
        "parameter"
    ] == "filter-crs"
    spatial = quote("S_INTERSECTS(geom, BBOX(8, 47, 9, 48))")
    assert (
        await ids(client, f"filter={spatial}")
        == await ids(client, f"filter={spatial}&filter-crs={CRS84}")
        == [1]
    )
    # all of them hold together
    assert await ids(
        client,
        f"filter={quote('height > 5')}&bbox=8,47,30,70&datetime=2024-05-01T00:00:00Z/..&name=Helsinki",
    ) == [2]
    for parameter in ("filter", "filter-lang"):
        assert parameter in (await fetch(client, "/api"))["components"]["parameters"]


@pytest.mark.parametrize("name", [uri.rpartition("/")[2] for uri in FILTERING if "/cql2/" in uri])
async def test_a_filter_of_each_class_selects_what_it_says(client: Client, name: str) -> None:
    text, wanted = FILTERS[name]
    if text is None:
        assert (await fetch(client, "/functions"))["functions"]
        return
    language = "cql2-json" if text.startswith("{") else "cql2-text"
    assert await ids(client, f"filter={quote(text)}&filter-lang={language}") == wanted


async def test_what_a_function_cannot_take_is_a_bad_request(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        TABLES
        + "CREATE SCHEMA geosvc_functions; CREATE FUNCTION geosvc_functions.near(metres float8) RETURNS SETOF sites"
        " LANGUAGE sql STABLE AS 'SELECT * FROM sites WHERE ST_DWithin(geom, ST_Point(0, 0,"
        " 4326), metres)'",
    )
    client = await service(bare_database_url)
    for resource in ("items", "export", "items?skipGeometry=true"):
        problem = await fetch(
            client, f"/collections/near/{resource}{'&' if '?' in resource else '?'}metres=-1", 400
        )
        assert problem["type"] == "urn:geosvc:problem:invalid-value"
