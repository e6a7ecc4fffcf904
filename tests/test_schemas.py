"""Schema, queryables and sortables, requirement by requirement.

Source: OGC 23-058r2 and 19-079r2.
"""

import asyncio
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from aiohttp import web
from jsonschema import Draft202012Validator
from yarl import URL

from geosvc.database.catalog import CatalogFollower
from geosvc.http.keys import CATALOG
from tests.conftest import Client, Service, execute
from tests.http import fetch
from tests.posting import send

TABLES = """
CREATE DOMAIN percent AS numeric(5, 2) CHECK (VALUE >= 0 AND VALUE <= 100);
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE owners (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, geom geometry(Point, 4326));
CREATE TABLE hidden (id int PRIMARY KEY);
CREATE TABLE things (
  id integer PRIMARY KEY,
  owner bigint NOT NULL REFERENCES owners,
  secret integer REFERENCES hidden,
  above integer CHECK (above > 0),
  between_them float8 CHECK (between_them BETWEEN -90 AND 90),
  one_of text CHECK (one_of IN ('x', 'y''z')),
  tag varchar(10) NOT NULL DEFAULT 'none' CHECK (tag <> ''),
  few varchar(5) CHECK (few IN ('a', 'b')),
  whole numeric(12, 0) CHECK (whole >= 0),
  price numeric(6, 2) CHECK (price > 0.5),
  share percent,
  short text CHECK (length(short) <= 5 AND char_length(short) > 1),
  three smallint CHECK (three = ANY (ARRAY[1, 2, 3])),
  feeling mood,
  extra jsonb,
  raw bytea,
  numbers integer[],
  day date CHECK (day > '2020-01-01'),
  seen timestamptz,
  code uuid,
  letter "char",
  "Q x" integer CHECK ("Q x" > 3 AND "Q x" < 3000000000),
  fixed char(3) CHECK (fixed IN ('a', 'b')),
  unchecked integer,
  twice integer GENERATED ALWAYS AS (above * 2) STORED,
  geom geometry(MultiPolygon, 3067) NOT NULL,
  CHECK (above < between_them), CHECK (above < 1000 AND three < 3));
ALTER TABLE things ADD CONSTRAINT not_yet CHECK (unchecked > 5) NOT VALID;
COMMENT ON TABLE things IS 'Everything.';
COMMENT ON COLUMN things.above IS 'How far up';
COMMENT ON COLUMN things.price IS 'What it costs. This is told at some length, so that it is no title any more.';
CREATE TABLE visits (room integer, visitor integer, begin date, "end" date, geom geometry, PRIMARY KEY (room, visitor));
CREATE TABLE mixed (id numeric PRIMARY KEY, "start" date, "end" timestamptz, geom geometry(Polygon));
CREATE TABLE "a/b ü" ("limit" integer PRIMARY KEY, geom geography(PointZ));
"""
ROLES = (
    "id",
    "reference",
    "primary-geometry",
    "primary-instant",
    "primary-interval-start",
    "primary-interval-end",
)
KEYWORDS = {
    "$schema",
    "$id",
    "title",
    "description",
    "type",
    "properties",
    "required",
    "additionalProperties",
}
DOCUMENTS = ("schema", "queryables", "sortables")
NAMES = ("owners", "things", "visits", "mixed", "a/b ü")


@pytest.fixture
def url(bare_database_url: str) -> str:
    execute(bare_database_url, TABLES)
    return bare_database_url


@pytest.fixture
async def client(service: Service, url: str) -> Client:
    return await service(url, writable=("things", "owners"))


def catalog_of(client: Client) -> CatalogFollower:
    app = client.app
    assert isinstance(app, web.Application)
    return app[CATALOG]


def path(name: str, document: str) -> str:
    return f"/collections/{quote(name, safe='')}/{document}"


async def properties(
    client: Client, document: str = "schema", name: str = "things"
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = (await fetch(client, path(name, document)))["properties"]
    return found


def without(described: dict[str, Any], *names: str) -> dict[str, Any]:
    return {
        name: value
        for name, value in described.items()
        if name not in (*names, "title", "x-ogc-propertySeq")
    }


@pytest.mark.parametrize("document", DOCUMENTS)
async def test_a_collection_links_to_its_schemas_in_the_list_and_by_itself(
    client: Client, document: str
) -> None:
    """/req/queryables/link, /req/sortables/link, /req/returnables-and-receivables/link"""
    for described in (await fetch(client, "/collections"))["collections"]:
        alone = await fetch(client, f"/collections/{quote(described['id'], safe='')}")
        for links in (described["links"], alone["links"]):
            (found,) = [
                each
                for each in links
                if each["rel"] == f"http://www.opengis.net/def/rel/ogc/1.0/{document}"
            ]
            assert found["type"] == "application/schema+json"
            assert URL(found["href"], encoded=True).raw_path == path(described["id"], document)


async def test_a_feature_is_as_the_schema_that_describes_it_says(client: Client) -> None:
    (link,) = [
        each
        for each in (await fetch(client, path("things", "")[:-1]))["links"]
        if each["rel"] == "describedby"
    ]
    assert link["type"] == "application/schema+json"
    found = await fetch(client, link["href"])
    Draft202012Validator.check_schema(found)
    assert found["$id"] == link["href"]
    assert "integer" not in str(found["properties"]["properties"]["properties"]["owner"]["type"])
    assert "id" not in found["properties"]["properties"]["properties"]
    given = {
        "owner": 1,
        "between_them": 1.5,
        "whole": 12,
        "three": 2,
        "numbers": [1, 2],
        "day": "2024-01-01",
    }
    square = {"type": "MultiPolygon", "coordinates": [[[[24, 60], [25, 60], [25, 61], [24, 60]]]]}
    for name, shape, values in (
        ("owners", None, {"name": "a"}),
        ("things", square, {"id": 1, **given}),
    ):
        await send(
            client,
            "POST",
            f"{name}/items",
            {"type": "Feature", "geometry": shape, "properties": values},
            201,
        )
    feature = await fetch(client, path("things", "items/1"))
    feature["properties"] = {
        name: value for name, value in feature["properties"].items() if value is not None
    }
    assert given.keys() <= feature["properties"].keys()
    Draft202012Validator(found).validate(feature)
    for name in ("owner", "whole", "three"):
        wrong = {**feature, "properties": {**feature["properties"], name: 1.5}}
        assert not Draft202012Validator(found).is_valid(wrong), name


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("name", NAMES)
async def test_a_schema_is_a_valid_json_schema_at_its_own_id(
    client: Client, name: str, document: str
) -> None:
    """/req/schemas/json-schema and /conf/schemas/basic-schema-inspection"""
    found = await fetch(client, path(name, document), headers={"Accept": "application/schema+json"})
    Draft202012Validator.check_schema(found)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["type"] == "object"
    assert found["additionalProperties"] is False
    assert set(found) <= KEYWORDS
    again = await fetch(client, found["$id"])
    assert again == found
    assert "?" not in found["$id"]
    assert (await fetch(client, path(name, document) + "?f=json")) == found


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("name", NAMES)
async def test_every_property_has_a_type_or_is_a_geometry(
    client: Client, name: str, document: str
) -> None:
    """/req/schemas/properties A to D, /req/schemas/additional-keywords, role, role-id,
    property-seq
    """
    found = await properties(client, document, name)
    for described in found.values():
        if "type" in described:
            assert described["type"] in (
                "string",
                "number",
                "integer",
                "boolean",
                "object",
                "array",
            )
            assert not described.get("format", "").startswith("geometry")
        else:
            assert described["format"].startswith("geometry-")
        assert "$ref" not in described
        assert described["title"]
        assert described.get("x-ogc-role", "id") in ROLES
        assert all(keyword.startswith("x-ogc-") for keyword in described if "x-" in keyword)
    places = [described["x-ogc-propertySeq"] for described in found.values()]
    assert all(isinstance(place, int) for place in places)
    assert len(places) == len(set(places))
    ids = [described["type"] for described in found.values() if described.get("x-ogc-role") == "id"]
    assert ids in ([], ["integer"], ["string"])


async def test_a_schema_has_every_property_and_the_geometry(client: Client) -> None:
    found = await properties(client)
    columns = [
        line.split()[0]
        for line in TABLES.partition("CREATE TABLE things (")[2]
        .partition("  CHECK")[0]
        .splitlines()
        if line
    ]
    assert list(found) == [column if column != '"Q' else "Q x" for column in columns]
    assert found["geom"] == {
        "title": "geom",
        "format": "geometry-multipolygon",
        "x-ogc-role": "primary-geometry",
        "x-ogc-propertySeq": len(found),
    }


async def test_types_come_from_columns(client: Client) -> None:
    found = await properties(client)
    int4 = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
    assert without(found["unchecked"]) == int4
    assert without(found["numbers"]) == {"type": "array", "items": int4}
    assert without(found["feeling"]) == {"type": "string", "enum": ["happy", "sad"]}
    assert without(found["extra"]) == {"type": "object"}
    assert without(found["raw"]) == {"type": "string", "contentEncoding": "base64"}
    assert without(found["day"], "x-ogc-role") == {"type": "string", "format": "date"}
    assert without(found["seen"], "x-ogc-role") == {"type": "string", "format": "date-time"}
    assert without(found["code"]) == {"type": "string", "format": "uuid"}
    assert without(found["letter"]) == {"type": "string", "pattern": r"^([ -~]?|\\[0-7]{3})$"}
    assert without(found["fixed"]) == {"type": "string", "maxLength": 3}


async def test_bounds_come_from_checks_domains_and_modifiers(client: Client) -> None:
    found = await properties(client)
    int4 = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
    assert without(found["above"]) == {**int4, "minimum": 1, "maximum": 999}
    assert without(found["between_them"]) == {
        "type": "number",
        "format": "double",
        "minimum": -90,
        "maximum": 90,
    }
    assert without(found["one_of"]) == {"type": "string", "enum": ["x", "y'z"]}
    assert without(found["tag"]) == {"type": "string", "minLength": 1, "maxLength": 10}
    assert without(found["few"]) == {"type": "string", "maxLength": 5, "enum": ["a", "b"]}
    assert without(found["whole"]) == {"type": "integer", "minimum": 0, "maximum": 10**12 - 1}
    assert without(found["price"], "description") == {
        "type": "number",
        "exclusiveMinimum": 0.5,
        "exclusiveMaximum": 10_000,
    }
    assert without(found["share"]) == {"type": "number", "minimum": 0, "maximum": 100}
    assert without(found["short"]) == {"type": "string", "minLength": 2, "maxLength": 5}
    three = {"type": "integer", "minimum": -(2**15), "maximum": 2, "enum": [1, 2, 3]}
    assert without(found["three"]) == three
    assert without(found["Q x"]) == {**int4, "minimum": 4}


async def test_titles_and_descriptions_come_from_comments(client: Client) -> None:
    document = await fetch(client, path("things", "schema"))
    found = document["properties"]
    assert document["description"] == "Everything."
    assert found["above"]["title"] == "How far up"
    assert "description" not in found["above"]
    assert found["price"]["title"] == "price"
    assert found["price"]["description"].startswith("What it costs.")


async def test_what_must_be_there_is_required_and_what_cannot_be_written_is_read_only(
    client: Client,
) -> None:
    """/req/schemas/properties G"""
    things, owners, visits = [
        await fetch(client, path(name, "schema")) for name in ("things", "owners", "visits")
    ]
    assert set(things["required"]) == {"id", "owner", "geom"}
    assert [name for name, each in things["properties"].items() if each.get("readOnly")] == [
        "twice"
    ]
    assert [name for name, each in owners["properties"].items() if each.get("readOnly")] == ["id"]
    assert "required" not in owners
    assert all(each["readOnly"] for each in visits["properties"].values())
    assert visits["required"] == ["room", "visitor"]


async def test_a_maintained_column_is_read_only(service: Service, url: str) -> None:
    client = await service(
        url,
        writable=("things",),
        collections={"things": {"modified": "seen", "read_only": ["code"]}},
    )
    found = await properties(client)
    assert [name for name, each in found.items() if each.get("readOnly")] == [
        "seen",
        "code",
        "twice",
    ]


async def test_what_is_read_only_or_unknown_is_refused_and_what_is_required_is_missed(
    client: Client,
) -> None:
    """/conf/returnables-and-receivables/response-2"""
    schema = await fetch(client, path("things", "schema"))
    ring = [[[[25, 60], [26, 60], [26, 61], [25, 60]]]]
    await send(
        client,
        "POST",
        "owners/items",
        {"type": "Feature", "geometry": None, "properties": {"name": "Ann"}},
        status=201,
    )
    feature: dict[str, Any] = {
        "type": "Feature",
        "geometry": {"type": "MultiPolygon", "coordinates": ring},
    }
    valid = {"id": 1, "owner": 1, "above": 1, "between_them": 1.5}
    for more in (
        {"twice": 2},
        {"no_such": 1},
        {"above": 2.5},
        {"short": "123456"},
        {"above": 0},
        {"share": 101},
    ):
        _, problem = await send(
            client,
            "POST",
            "things/items",
            {**feature, "properties": {**valid, **more}},
            status=None,
        )
        assert problem["status"] in (409, 422)
    for name in schema["required"]:
        less = {key: value for key, value in valid.items() if key != name}
        body = (
            {**feature, "properties": less}
            if name != "geom"
            else {"type": "Feature", "geometry": None, "properties": valid}
        )
        await send(client, "POST", "things/items", body, status=422)
    await send(client, "POST", "things/items", {**feature, "properties": valid}, status=201)
    stored = await fetch(client, "/collections/things/items")
    Draft202012Validator(_of_features(schema)).validate(stored["features"][0])


def _of_features(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of GeoJSON features; what is NULL is not there."""
    nullable = {
        name: {"anyOf": [each, {"type": "null"}]}
        for name, each in schema["properties"].items()
        if "type" in each
    }
    return {"properties": {"properties": {"properties": nullable, "additionalProperties": False}}}


async def test_roles_are_those_of_the_key_the_time_and_foreign_keys(client: Client) -> None:
    """/req/schemas/role-id, /req/advanced-property-roles/*, /req/references/role-reference"""

    async def roles(name: str, document: str = "schema") -> dict[str, str]:
        found = await properties(client, document, name)
        return {key: each["x-ogc-role"] for key, each in found.items() if "x-ogc-role" in each}

    things = {"id": "id", "owner": "reference", "day": "primary-instant"}
    assert await roles("things") == {**things, "geom": "primary-geometry"}
    assert await roles("things", "queryables") == {**things, "geom": "primary-geometry"}
    assert await roles("things", "sortables") == things
    interval = {"begin": "primary-interval-start", "end": "primary-interval-end"}
    assert await roles("visits") == {
        **interval,
        "geom": "primary-geometry",
    }  # an id of two columns is no property
    assert await roles("mixed") == {
        "geom": "primary-geometry"
    }  # a numeric key, and two granularities
    assert (await properties(client))["owner"]["x-ogc-collectionId"] == "owners"
    referred = [
        each
        for each in (await properties(client, name="owners")).values()
        if each.get("x-ogc-role") == "id"
    ]
    assert [each["type"] for each in referred] == ["integer"]


async def test_a_reference_to_what_is_not_served_is_none(client: Client) -> None:
    assert "x-ogc-role" not in (await properties(client))["secret"]


async def test_queryables_are_what_a_filter_may_name(client: Client) -> None:
    schema, found = await properties(client), await properties(client, "queryables")
    assert set(schema) - set(found) == {"extra", "raw"}
    assert all({**each, **found[name]} == each for name, each in schema.items() if name in found)


async def test_sortables_are_what_sortby_takes(client: Client) -> None:
    """/req/sortables/response C to E"""
    found = await properties(client, "sortables")
    assert all(each["type"] not in ("object", "array") for each in found.values())
    for name in await properties(client):
        status = 200 if name in found else 400
        quoted = quote('"' + name.replace('"', '""') + '"')
        await fetch(client, f"/collections/things/items?sortby={quoted}", status)


async def test_every_simple_queryable_is_a_parameter_with_the_same_schema(client: Client) -> None:
    """/req/queryables-query-parameters/parameters C and D"""
    api = await fetch(client, "/api")
    listed = {
        each["name"]: each["schema"]
        for each in api["paths"]["/collections/things/items"]["get"]["parameters"]
        if "name" in each
    }
    meaning = ("title", "description", "x-ogc-role", "x-ogc-propertySeq", "x-ogc-collectionId")
    for name, described in (await properties(client, "queryables")).items():
        if "type" not in described or described["type"] == "array":
            continue
        schema = without(described, *meaning)
        for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if exclusive in schema:  # as OpenAPI 3.0 writes it
                schema |= {bound: schema[exclusive], exclusive: True}
        assert listed[name] == schema


async def test_the_class_of_queryables_as_parameters_holds_unless_a_column_has_the_name_of_a_parameter(
    service: Service, url: str
) -> None:
    uri = "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables-query-parameters"
    assert (
        uri not in (await fetch(await service(url), "/conformance"))["conformsTo"]
    )  # a column is called limit
    assert (
        uri
        in (await fetch(await service(url, exclude_tables=("a/*",)), "/conformance"))["conformsTo"]
    )


async def test_what_can_be_filtered_links_to_its_queryables_in_a_header(client: Client) -> None:
    """/req/queryables/queryables-link B"""
    for name, rest in (("things", "items"), ("things", "export"), ("a/b ü", "items?f=csv")):
        async with client.get(URL(path(name, rest), encoded=True)) as response:
            found = response.links["http://www.opengis.net/def/rel/ogc/1.0/queryables"]
            assert found["type"] == "application/schema+json"
            assert URL(found["url"]).raw_path == path(name, "queryables")
    async with client.post("/collections/things/search", json={}) as response:
        assert "http://www.opengis.net/def/rel/ogc/1.0/queryables" in response.links


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("*/*", "application/schema+json"),
        ("application/schema+json", "application/schema+json"),
        ("application/json", "application/json"),
        ("application/schema+json;q=0.5, application/json", "application/json"),
    ],
)
async def test_clients_get_the_media_type_that_they_ask_for(
    client: Client, accept: str, wanted: str
) -> None:
    async with client.get(path("things", "schema"), headers={"Accept": accept}) as response:
        assert response.headers["Content-Type"] == wanted


@pytest.mark.parametrize(
    ("query", "accept", "status"),
    [("?no=1", "*/*", 400), ("?f=csv", "*/*", 400), ("", "image/png", 406)],
)
async def test_what_is_not_known_is_refused(
    client: Client, query: str, accept: str, status: int
) -> None:
    for document in DOCUMENTS:
        await fetch(client, path("things", document) + query, status, headers={"Accept": accept})
        await fetch(client, path("nosuch", document), 404)


async def test_constraints_are_followed(client: Client, url: str) -> None:
    """A constraint that is validated, and one of a domain, change no table."""

    async def after(sql: str) -> dict[str, Any]:
        await asyncio.to_thread(execute, url, sql)
        await catalog_of(client).look()
        return await properties(client)

    assert (await after("ALTER TABLE things VALIDATE CONSTRAINT not_yet"))["unchecked"][
        "minimum"
    ] == 6
    assert (await after("ALTER DOMAIN percent ADD CHECK (VALUE > 50)"))["share"][
        "exclusiveMinimum"
    ] == 50
    assert (
        "x-ogc-role"
        not in (await after("ALTER TABLE things DROP CONSTRAINT things_owner_fkey"))["owner"]
    )


async def test_a_table_that_somebody_has_locked_holds_up_no_other_and_gets_its_bounds_later(
    client: Client, url: str
) -> None:
    holder = await asyncpg.connect(url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
        await asyncio.to_thread(execute, url, "COMMENT ON TABLE owners IS 'Changed.'")
        await asyncio.wait_for(catalog_of(client).look(), 2)
        assert (await fetch(client, path("owners", "schema")))["description"] == "Changed."
        assert (await properties(client))["price"]["exclusiveMinimum"] == -10_000
        kept = catalog_of(client).catalog
        await catalog_of(client).look()
        assert catalog_of(client).catalog is kept
    await holder.close()
    await catalog_of(client).look()
    assert (await properties(client))["price"]["exclusiveMinimum"] == 0.5
