"""The description says what is there, and what is parsed."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

import orjson
import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV30SpecValidator

from geosvc.about import About, Contact, License
from geosvc.app import build_app
from geosvc.catalog.collections import Catalog
from geosvc.errors import (
    MisdirectedRequest,
    RequestError,
    UnknownExpectation,
    UnknownParameter,
    UnknownVersion,
)
from geosvc.handlers.api import API_TYPES
from geosvc.http.keys import CATALOG
from geosvc.model.collection import Collection, Column, Publication, RelationKind
from geosvc.model.media_type import JSON, OPENAPI
from geosvc.openapi import GENERAL_TAG, ApiWriter, describe_api
from geosvc.openapi.components import describe_type
from geosvc.openapi.operations import OPERATIONS
from geosvc.requests.declared import DECLARED, ITEM_DECLARED
from geosvc.requests.items import PageLimits, ReadingRules, parse_item_query, parse_items_query
from geosvc.requests.negotiation import negotiate_media_type
from geosvc.requests.property_parameters import property_parameters
from geosvc.routes import ROUTES
from geosvc.settings import load_settings
from tests.conftest import Client, ClientOf
from tests.describing import check_description, operations
from tests.unit.samples import collection, column, parameter

BASE = "https://example.org/geo"
LIMITS = PageLimits(default=10, maximum=10_000)
RULES = ReadingRules(LIMITS)
COUNTRIES = replace(
    collection(
        column("id", "int4"),
        replace(column("name"), description="What it calls itself."),
        column("population", "int8"),
        column("seen", "timestamptz"),
        column("member", "bool"),
        column("code", "uuid"),
        column("mood", enum=("happy", "so-so")),
        column("extra", "jsonb"),
        column("limit", "int4"),
        column("zoom-level", "int4"),
        key=("id",),
        name="countries",
    ),
    description="Every country.",
    insertable=True,
    updatable=True,
    deletable=True,
)
NASTY = collection(
    column("a b"),
    column("a&b=c"),
    column("Größe"),
    column("featureId"),
    column('"$ref"'),
    column("#/components"),
    replace(column("'; DROP TABLE x; --"), description="</script>\n\x01"),
    column("BBOX"),
    key=("a b", "Größe"),
    name='x/../"Ünï {code}?#%2F& 日本.b',
)
KEYLESS = collection(column("f"), name="keyless")
FUNCTION = collection(
    column("near"),
    column("far"),
    kind=RelationKind.FUNCTION,
    parameters=(
        parameter("near", "text"),
        parameter("shape", "jsonb", required=False),
        parameter("offset"),
    ),
    name="reachable",
)
TAGGED = replace(
    collection(column("id", "int4"), key=("id",), name=GENERAL_TAG),
    publication=Publication(1, ("id",)),
)
CATALOG_BY_HAND = (COUNTRIES, NASTY, KEYLESS, FUNCTION, TAGGED)


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    """The description as a client reads it."""
    described: dict[str, Any] = orjson.loads(
        orjson.dumps(describe_api(BASE, CATALOG_BY_HAND, RULES))
    )
    return described


def parameters(api: Mapping[str, Any], path: str) -> dict[str, dict[str, Any]]:
    """Those of a GET by name, references followed."""
    described = {}
    for each in api["paths"][path]["get"]["parameters"]:
        found = (
            api["components"]["parameters"][each["$ref"].rpartition("/")[2]]
            if "$ref" in each
            else each
        )
        assert found["name"] not in described
        described[found["name"]] = found
    return described


def items_path(wanted: Collection) -> str:
    return f"/collections/{quote(wanted.id, safe='')}/items"


def test_it_is_valid_openapi(api: dict[str, Any]) -> None:
    assert api["openapi"] == "3.0.3"
    assert list(OpenAPIV30SpecValidator(api).iter_errors()) == []


def test_it_is_valid_openapi_without_collections() -> None:
    assert list(OpenAPIV30SpecValidator(describe_api(BASE, (), RULES)).iter_errors()) == []


def test_everything_is_described_and_nothing_without_need(api: dict[str, Any]) -> None:
    check_description(api)
    check_description(describe_api(BASE, (), RULES))
    for each in CATALOG_BY_HAND:
        check_description(orjson.loads(orjson.dumps(describe_api(BASE, (each,), RULES))))


def test_it_says_whose_it_is() -> None:
    contact = Contact(name="GIS team", email="gis@example.org")
    about = About(
        "Maps", "All maps.", contact, License(name="CC BY 4.0"), "https://example.org/terms"
    )
    described = describe_api(BASE, (), RULES, about)
    assert list(OpenAPIV30SpecValidator(described).iter_errors()) == []
    told = described["info"]
    assert (told["title"], told["termsOfService"]) == ("Maps", "https://example.org/terms")
    assert told["description"].startswith("All maps. ")
    assert told["contact"] == {"name": "GIS team", "email": "gis@example.org"}
    assert told["license"] == {"name": "CC BY 4.0"}


def operation_id_of_route(operation_id: str) -> str:
    """The id without that of a collection, which stands before or behind it."""
    of_tiles = re.search(r"(collection|dataset)\.vector\.\w+$", operation_id)
    return of_tiles[0] if of_tiles else operation_id.split(".", maxsplit=1)[0]


def test_every_route_is_described_and_everything_described_is_a_route(api: dict[str, Any]) -> None:
    described = {
        (
            method,
            re.sub("^/collections/[^/]+", "/collections/{collectionId}", path),
            operation_id_of_route(operation["operationId"]),
        )
        for method, path, operation in operations(api)
    }
    assert described == {(route.method, route.path, route.operation_id) for route in ROUTES}
    assert {(each.path, each.operation_id) for each in OPERATIONS} == {
        (route.path, route.operation_id) for route in ROUTES
    }


def test_every_collection_has_literal_paths_that_decode_to_its_id(api: dict[str, Any]) -> None:
    found = {
        unquote(path.split("/")[2]) for path in api["paths"] if path.startswith("/collections/")
    }
    assert found == {each.id for each in CATALOG_BY_HAND}
    placeholders = {name for path in api["paths"] for name in re.findall("{(.*?)}", path)}
    of_tiles = {"tileMatrixSetId", "tileMatrix", "tileRow", "tileCol", "z", "x", "y"}
    assert placeholders == {"featureId", *of_tiles}


def test_operation_ids_and_tags_are_unique(api: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(api)]
    tags = [tag["name"] for tag in api["tags"]]
    assert len(ids) == len(set(ids))
    assert len(tags) == len(set(tags))
    assert {tag for _, _, operation in operations(api) for tag in operation["tags"]} == set(tags)


def test_features_without_an_id_have_no_path(api: dict[str, Any]) -> None:
    assert f"{items_path(COUNTRIES)}/{{featureId}}" in api["paths"]
    assert f"{items_path(KEYLESS)}/{{featureId}}" not in api["paths"]


def test_items_declares_what_items_parses(api: dict[str, Any]) -> None:
    for each in CATALOG_BY_HAND:
        own = {typed.name for typed in (*property_parameters(each), *(each.parameters or ()))}
        assert set(parameters(api, items_path(each))) == own | {
            declared.name for declared in DECLARED
        }


def test_every_queryable_is_accepted_by_items(api: dict[str, Any]) -> None:
    for each in (COUNTRIES, NASTY):
        for name in set(parameters(api, items_path(each))) - {
            declared.name for declared in DECLARED
        }:
            schema = parameters(api, items_path(each))[name]["schema"]
            values = {"integer": "7", "boolean": "true", "string": "x"}
            formats = {"date-time": "2026-11-21T00:00:00Z", "uuid": "0" * 32}
            value = schema.get("enum", [formats.get(schema.get("format"), values[schema["type"]])])[
                0
            ]
            assert parse_items_query({name: value}, each, ReadingRules(LIMITS)).equals == (
                (name, value),
            )


def test_an_export_declares_exactly_what_an_export_parses(api: dict[str, Any]) -> None:
    described = parameters(api, items_path(COUNTRIES).replace("/items", "/export"))
    refused = set()
    for each in DECLARED:
        try:
            parse_items_query({each.name: "1"}, COUNTRIES)
        except UnknownParameter:
            refused.add(each.name)
        except RequestError:
            pass
    assert refused == {"limit", "offset", "startindex", "cursor", "count"}
    assert set(parameters(api, items_path(COUNTRIES))) - set(described) == refused


def test_an_item_declares_exactly_what_an_item_parses(api: dict[str, Any]) -> None:
    described = parameters(api, f"{items_path(COUNTRIES)}/{{featureId}}")
    in_query = {name for name, each in described.items() if each["in"] == "query"}
    assert in_query == {each.name for each in ITEM_DECLARED}
    assert set(described) - in_query == {"featureId", "If-None-Match", "If-Modified-Since"}
    for name in {each.name for each in DECLARED} - set(described):
        with pytest.raises(UnknownParameter):
            parse_item_query({name: "1"}, COUNTRIES)


def test_columns_that_cannot_be_compared_or_collide_are_left_out(api: dict[str, Any]) -> None:
    described = parameters(api, items_path(COUNTRIES))
    assert "extra" not in described
    assert described["limit"]["schema"]["maximum"] == LIMITS.maximum
    assert described["zoom-level"]["schema"]["maximum"] == 30
    assert parameters(api, items_path(KEYLESS))["f"]["schema"]["enum"] == [
        "geojson",
        "json",
        "geojsonseq",
        "csv",
        "html",
    ]


def test_a_function_has_its_parameters_before_columns_of_the_same_name(api: dict[str, Any]) -> None:
    described = parameters(api, items_path(FUNCTION))
    assert described["near"]["required"]
    assert "required" not in described["shape"]
    assert "required" not in described["far"]
    assert "required" not in described["offset"]


def test_the_schemas_of_queryables_tell_their_types(api: dict[str, Any]) -> None:
    described = {
        name: each["schema"] for name, each in parameters(api, items_path(COUNTRIES)).items()
    }
    assert described["id"] == {
        "type": "integer",
        "format": "int32",
        "minimum": -(2**31),
        "maximum": 2**31 - 1,
    }
    assert described["population"]["maximum"] == 2**63 - 1
    assert described["seen"] == {"type": "string", "format": "date-time"}
    assert described["member"] == {"type": "boolean"}
    assert described["code"] == {"type": "string", "format": "uuid"}
    assert described["mood"] == {"type": "string", "enum": ["happy", "so-so"]}


def test_a_type_of_ones_own_is_no_built_in_type_of_the_same_name() -> None:
    assert describe_type(Column("a", "public.bool", "public", "bool", "U")) == {"type": "string"}


def test_a_feature_id_has_the_type_of_its_key(api: dict[str, Any]) -> None:
    single = parameters(api, f"{items_path(COUNTRIES)}/{{featureId}}")["featureId"]
    composite = parameters(api, f"{items_path(NASTY)}/{{featureId}}")["featureId"]
    assert single["schema"]["type"] == "integer"
    assert composite["schema"] == {"type": "string"}
    assert "a b, Größe" in composite["description"]


def test_gdal_and_qgis_find_the_page_size_and_the_queryables(api: dict[str, Any]) -> None:
    """Both read the paths and the component literally; QGIS takes only inline parameters with style
    and explode.
    """
    limit = api["components"]["parameters"]["limit"]["schema"]
    assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 10_000, 10)
    listed = api["paths"]["/collections/countries/items"]["get"]["parameters"]
    assert {"$ref": "#/components/parameters/limit"} in listed
    inline = [each for each in listed if "style" in each]
    assert {each["name"] for each in listed if "$ref" not in each and "style" not in each} == {
        "sortby",
        "properties",
    }
    assert {each["name"] for each in inline} == {
        "id",
        "name",
        "population",
        "seen",
        "member",
        "code",
        "mood",
    }
    assert all(
        each["style"] == "form" and each["explode"] is False and each["schema"]["type"]
        for each in inline
    )


def test_arrays_are_written_with_commas(api: dict[str, Any]) -> None:
    arrays = {
        name: each
        for name, each in api["components"]["parameters"].items()
        if each["schema"]["type"] == "array"
    }
    assert set(arrays) == {"bbox", "collections"}
    assert all(each["style"] == "form" and each["explode"] is False for each in arrays.values())


def test_every_error_of_the_tree_has_a_response(api: dict[str, Any]) -> None:
    def statuses(error: type[RequestError]) -> Iterator[int]:
        for each in error.__subclasses__():
            yield each.status
            yield from statuses(each)

    operations = [
        each
        for path in ("", "/{featureId}")
        for each in api["paths"][items_path(COUNTRIES) + path].values()
    ]
    told = {
        status
        for operation in operations
        for status in operation["responses"]
        if int(status) >= 400
    }
    of_no_request = {
        each.status for each in (MisdirectedRequest, UnknownExpectation, UnknownVersion)
    }  # told before any route
    assert told == set(map(str, set(statuses(RequestError)) - of_no_request))
    reading = api["paths"]["/collections/countries/items"]["get"]["responses"]
    assert set(reading) == {"200", "400", "404", "405", "406", "412", "431", "500", "503", "504"}


def test_what_cannot_be_written_has_no_operations_that_write(api: dict[str, Any]) -> None:
    assert set(api["paths"][items_path(COUNTRIES)]) == {"get", "options", "post"}
    assert set(api["paths"][f"{items_path(COUNTRIES)}/{{featureId}}"]) == {
        "get",
        "options",
        "put",
        "patch",
        "delete",
    }
    assert set(api["paths"][items_path(KEYLESS)]) == {"get", "options"}


def test_responses_have_their_media_types_and_headers(api: dict[str, Any]) -> None:
    responses = api["components"]["responses"]
    for name in ("Found", "Export"):
        assert set(responses[name]["content"]) == {
            "application/geo+json",
            "application/geo+json-seq",
            "text/csv",
        }
    assert set(responses["Features"]["content"]) == {*responses["Found"]["content"], "text/html"}
    assert set(responses["Feature"]["content"]) == {"application/geo+json", "text/html"}
    assert "Content-Crs" in responses["Feature"]["headers"]
    assert "Content-Disposition" in responses["Export"]["headers"]
    assert "Retry-After" in responses["ServiceUnavailable"]["headers"]
    assert "Allow" in responses["MethodNotAllowed"]["headers"]
    assert all("X-Request-ID" in each["headers"] for each in responses.values())
    assert set(responses["NotFound"]["content"]) == {"application/problem+json", "text/html"}


def test_a_thousand_collections_are_described_in_a_moment() -> None:
    columns = [column(f"column_{number}", "int8") for number in range(20)]
    many = [
        collection(*columns, key=("column_0",), name=f"table_{number}") for number in range(1_000)
    ]
    catalog = Catalog({each.id: each for each in many}, "many")
    seconds = []
    for _ in range(3):
        started = time.process_time()
        ApiWriter().write(BASE, catalog, RULES)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 1


def test_the_writer_writes_what_is_described_for_every_root_catalog_and_limit() -> None:
    writer = ApiWriter()
    two, one = (
        Catalog({each.id: each for each in some}, "same")
        for some in (CATALOG_BY_HAND[:2], CATALOG_BY_HAND[:1])
    )
    for base in (BASE, "http://[::1]:8080"):
        for catalog in (two, two, one):
            for limits in (RULES, ReadingRules(PageLimits(1, 2))):
                described = describe_api(base, tuple(catalog.collections.values()), limits)
                assert orjson.loads(writer.write(base, catalog, limits)) == orjson.loads(
                    orjson.dumps(described)
                )


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, OPENAPI),
        ("*/*", OPENAPI),
        ("application/json", JSON),
        ("application/vnd.oai.openapi+json;version=3.0", OPENAPI),
        (
            (
                "application/vnd.oai.openapi+json;version=3.0, application/openapi+json;q=0.9,"
                " application/json"
            ),
            OPENAPI,
        ),
        ("application/vnd.oai.openapi+json;q=0.5, application/json", JSON),
    ],
)
def test_clients_get_the_media_type_that_they_ask_for(accept: str | None, wanted: object) -> None:
    assert isinstance(wanted, type(JSON))
    assert negotiate_media_type(None, accept, API_TYPES).content_type == wanted.content_type


@pytest.fixture
async def service_by_hand(client_of: ClientOf) -> Client:
    """The service with the catalog of this module, and a database that is not there."""
    app = build_app(load_settings(database_url="postgresql://127.0.0.1:1/none", log_level="error"))
    client = await client_of(app)
    app[CATALOG]._catalog = Catalog({each.id: each for each in CATALOG_BY_HAND}, "by hand")
    return client


async def test_the_service_answers_with_the_description(
    service_by_hand: Client, api: dict[str, Any]
) -> None:
    async with service_by_hand.get("/api") as response:
        assert response.headers["Content-Type"] == "application/vnd.oai.openapi+json;version=3.0"
        described = await response.json(content_type=None)
    assert described["servers"] == [{"url": str(service_by_hand.make_url("")).rstrip("/")}]
    assert {**described, "servers": api["servers"]} == api
    for query, headers in (
        ("?f=json", {}),
        ("", {"Accept": "application/json"}),
        ("", {"Host": "other.example"}),
    ):
        async with service_by_hand.get(f"/api{query}", headers=headers) as response:
            assert response.status == 200
            found = await response.json(content_type=None)
        assert found["paths"] == api["paths"]


async def test_the_description_follows_the_catalog(service_by_hand: Client) -> None:
    app = service_by_hand.app
    assert isinstance(app, web.Application)
    for catalog in (Catalog({}, "none"), Catalog({"keyless": KEYLESS}, "one")):
        app[CATALOG]._catalog = catalog
        async with service_by_hand.get("/api") as response:
            described = await response.json(content_type=None)
        assert ("/collections/keyless/items" in described["paths"]) == (
            "keyless" in catalog.collections
        )


@pytest.mark.parametrize(
    ("query", "accept", "status"),
    [("?nosuch=1", "*/*", 400), ("?f=csv", "*/*", 400), ("", "text/plain", 406)],
)
async def test_the_service_refuses_what_it_does_not_know(
    service_by_hand: Client, query: str, accept: str, status: int
) -> None:
    async with service_by_hand.get(f"/api{query}", headers={"Accept": accept}) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"


async def test_without_a_catalog_the_service_is_unavailable(service_by_hand: Client) -> None:
    app = service_by_hand.app
    assert isinstance(app, web.Application)
    app[CATALOG]._catalog = None
    async with service_by_hand.get("/api") as response:
        assert response.status == 503
        assert response.headers["Retry-After"]
