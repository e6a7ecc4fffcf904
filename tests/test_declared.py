"""What is declared is parsed, and nothing else: every parameter of every operation, one by one,
against the running service.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from geosvc.database.migrations import migrate_up
from geosvc.openapi.operations import OPERATIONS
from geosvc.requests.declared import DECLARED
from geosvc.requests.items import PageLimits, ReadingRules, parse_items_query
from tests.conftest import Client, Service, execute, settings_for
from tests.http import fetch
from tests.live import publish_now
from tests.unit.samples import collection, column

RULES = ReadingRules(PageLimits(10, 100))
PLACES = collection(
    column("id", "int4"), column("name"), column("made", "timestamptz"), key=("id",)
)
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
# of each parameter of items a right value that changes what is asked for, and a wrong one
VALUES: dict[str, tuple[str, str]] = {
    "bbox": ("1,2,3,4", "1,2,3"),
    "bbox-crs": (CRS84, "http://example.org/crs"),
    "crs": ("http://www.opengis.net/def/crs/EPSG/0/3857", "http://example.org/crs"),
    "datetime": ("2026-11-21", "yesterday"),
    "filter": ("name = 'x'", "name ="),
    "filter-lang": ("cql2-json", "sql"),
    "filter-crs": (CRS84, "http://example.org/crs"),
    "limit": ("7", "0"),
    "offset": ("7", "-1"),
    "startindex": ("7", "-1"),
    "cursor": ("WzEsInEiLFsiMSJdLDAsbnVsbF0", "!"),
    "sortby": ("-name", "nothing"),
    "properties": ("name", "nothing"),
    "skipGeometry": ("true", "maybe"),
    "precision": ("3", "16"),
    "simplify": ("0.5", "-1"),
    "zoom-level": ("5", "31"),
    "count": ("exact", "some"),
    "bigint": ("string", "text"),
    "f": ("csv", "gml"),
}
OTHERS = {
    "extent": "all",
    "dry-run": "perhaps",
    "repair": "perhaps",
    "upsert": "perhaps",
    "collections": "nothing",
}
PLACEHOLDERS = {"featureId": "1", "tileMatrixSetId": "WebMercatorQuad"}
# the media type is negotiated elsewhere, and these two are for what is not there
CHANGES_NOTHING = {"f", "bbox-crs", "filter-lang", "filter-crs"}


def as_json(text: str, schema: dict[str, Any]) -> Any:
    """A value of a URL as its schema sees it."""
    match schema["type"]:
        case "array":
            return [as_json(part, schema["items"]) for part in text.split(",")]
        case "integer" | "number":
            return float(text) if schema["type"] == "number" else int(text)
        case "boolean":
            return {"true": True, "false": False}.get(text, text)
    return text


def test_every_parameter_of_items_has_values_here() -> None:
    assert VALUES.keys() == {each.name for each in DECLARED}


@pytest.mark.parametrize("name", VALUES)
def test_what_is_declared_is_parsed_and_its_right_value_fits_its_schema(name: str) -> None:
    right, wrong = VALUES[name]
    (declared,) = [each for each in DECLARED if each.name == name]
    request = parse_items_query({name: right}, PLACES, RULES)
    assert (request == parse_items_query({}, PLACES, RULES)) == (name in CHANGES_NOTHING)
    schema = dict(declared.schema)
    assert Draft202012Validator(schema).is_valid(as_json(right, schema))
    told_by_the_schema = {
        "enum",
        "minimum",
        "maximum",
        "minItems",
        "pattern",
    } & schema.keys() or schema["type"] == "boolean"
    if told_by_the_schema:
        assert not Draft202012Validator(schema).is_valid(as_json(wrong, schema))


@pytest.fixture
async def client(service: Service, bare_database_url: str) -> Client:
    return await service(bare_database_url, writable=("*",))


@pytest.fixture
def bare_database_url(bare_database_url: str) -> str:
    execute(
        bare_database_url,
        "CREATE TABLE places (id integer PRIMARY KEY, name text, made timestamptz, share"
        " numeric(3, 1) CHECK (share >= 0),"
        " colour text CHECK (colour IN ('green', 'blue')), geom geometry(Point, 4326));"
        " INSERT INTO places VALUES (1, 'one', now(), 1, 'green', 'SRID=4326;POINT(1 2)')",
    )
    migrate_up(settings_for(bare_database_url), bare_database_url)
    publish_now(bare_database_url, "places")
    return bare_database_url


async def described(client: Client) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """(method, path, query parameters) of every operation, references followed."""
    api = await fetch(client, "/api")
    components = api["components"]["parameters"]

    def of(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for each in operation["parameters"]:
            found = components[each["$ref"].rpartition("/")[2]] if "$ref" in each else each
            if found["in"] == "query":
                yield found

    return [
        (method.upper(), filled(path), list(of(operation)))
        for path, methods in api["paths"].items()
        for method, operation in methods.items()
        if method != "options"  # which take none and refuse none
    ]


def filled(path: str) -> str:
    """A path with values for its placeholders; those of tiles are numbers."""
    return re.sub(r"\{(\w+)\}", lambda found: PLACEHOLDERS.get(found[1], "0"), path)


def wrong_value(parameter: dict[str, Any]) -> str:
    name, schema = parameter["name"], parameter["schema"]
    if name in VALUES or name in OTHERS:
        return OTHERS.get(name) or VALUES[name][1]
    if "enum" in schema:
        return "purple"
    return "x" if schema["type"] != "number" or "minimum" not in schema else "-0.5"


async def test_every_operation_refuses_a_wrong_value_of_each_of_its_parameters_by_name(
    client: Client,
) -> None:
    operations = await described(client)
    assert len(operations) == len([each for each in OPERATIONS if each.method != "options"])
    tried = 0
    for method, path, parameters in operations:
        for parameter in parameters:
            if parameter["schema"] == {"type": "string"}:
                continue  # any text will do
            async with client.request(
                method, path, params={parameter["name"]: wrong_value(parameter)}
            ) as response:
                problem = await response.json()
            assert response.status == 400, (method, path, parameter["name"])
            assert problem["type"] == "urn:geosvc:problem:invalid-parameter"
            assert problem["parameter"] == parameter["name"]
            tried += 1
    assert tried > 60


async def test_every_operation_refuses_what_is_not_described(client: Client) -> None:
    every = {*VALUES, *OTHERS, "nosuch", "geom"}
    for method, path, parameters in await described(client):
        for name in every - {parameter["name"] for parameter in parameters}:
            async with client.request(method, path, params={name: "1"}) as response:
                problem = await response.json()
            assert (response.status, problem.get("parameter")) == (400, name), (
                method,
                path,
                name,
                problem,
            )
            assert problem["type"] == "urn:geosvc:problem:unknown-parameter", (method, path, name)
