"""The OpenAPI description of tables that can be written to and hold anything: always valid, and
nothing in it unused.
"""

import pytest

from tests.conftest import Service, execute
from tests.describing import check_description, operations
from tests.http import fetch

COMPOSED = """
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE mood AS ENUM ('', '{}', '"', 'happy');
CREATE TYPE address AS (street text, extra jsonb);
CREATE DOMAIN share AS numeric CHECK (VALUE > 0 AND VALUE < 1);
CREATE DOMAIN document AS jsonb NOT NULL;
CREATE TABLE composed (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), one json NOT NULL, two jsonb, three jsonb[] NOT NULL, four hstore,
    five hstore[], six address NOT NULL, seven address[], eight mood[], nine share, ten document, eleven citext, twelve text[],
    thirteen json DEFAULT '[]', fourteen geometry, fifteen geometry[], sixteen numeric(3, -2) NOT NULL,
    seventeen int CHECK (seventeen > 3 AND seventeen < 3), eighteen text CHECK (eighteen IN ('', 'a')),
    geom geometry(PointZ, 3067));
"""
# a table with a column, and one of its arrays, for every type that can be stored
EVERY_TYPE = """
DO $$ BEGIN EXECUTE (
    SELECT 'CREATE TABLE every_type (id int PRIMARY KEY, geom geometry NOT NULL, '
        || string_agg(format('%I %s, %I %s[] NOT NULL', 'a ' || typname, type, 'list of ' || typname, type), ', ') || ')'
    FROM (SELECT typname, format_type(oid, NULL) AS type FROM pg_type
          WHERE typtype IN ('b', 'r', 'm') AND typarray <> 0 AND typnamespace = 'pg_catalog'::regnamespace
          AND typname NOT LIKE 'pg\\_%' AND typname NOT IN ('gtsvector')) AS found
); END $$
"""


@pytest.fixture
def typed_url(bare_database_url: str) -> str:
    execute(bare_database_url, COMPOSED)
    execute(bare_database_url, EVERY_TYPE)
    return bare_database_url


async def test_tables_of_every_type_are_described_when_they_can_be_written(
    service: Service, typed_url: str
) -> None:
    client = await service(typed_url, writable=("*",))
    api = await fetch(client, "/api")
    check_description(api)
    assert {method for method, path, _ in operations(api) if "/every_type/" in path} >= {
        "PUT",
        "PATCH",
        "POST",
    }
    posted = api["paths"]["/collections/composed/items/{featureId}"]["put"]["requestBody"][
        "content"
    ]
    properties = posted["application/geo+json"]["schema"]["properties"]["properties"]["properties"]
    assert {"type": "array", "items": {}} in properties["one"]["anyOf"]


async def test_nasty_tables_are_described_when_they_can_be_written(
    service: Service, nasty_url: str
) -> None:
    client = await service(nasty_url, writable=("*",))
    check_description(await fetch(client, "/api"))


async def test_the_service_says_whose_it_is(service: Service, sample_url: str) -> None:
    client = await service(
        sample_url,
        title="Maps <&>",
        description="All maps.",
        contact="GIS team <gis@example.org> (https://example.org/gis)",
        license="CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)",
        terms="https://example.org/terms",
    )
    landing = await fetch(client, "/")
    assert (landing["title"], landing["description"]) == ("Maps <&>", "All maps.")
    assert landing["contact"] == {
        "name": "GIS team",
        "url": "https://example.org/gis",
        "email": "gis@example.org",
    }
    for path in ("/", "/collections"):
        by_rel = {link["rel"]: link["href"] for link in (await fetch(client, path))["links"]}
        assert by_rel["license"] == "https://creativecommons.org/licenses/by/4.0/"
        assert by_rel["terms-of-service"] == "https://example.org/terms"
    api = await fetch(client, "/api")
    check_description(api)
    assert api["info"]["title"] == "Maps <&>"
    assert api["info"]["license"]["name"] == "CC BY 4.0"
    assert api["info"]["contact"] == landing["contact"]
    for path in ("/", "/collections", "/collections/countries", "/api.html"):
        async with client.get(
            path, params={"f": "html"} if path != "/api.html" else {}
        ) as response:
            page = await response.text()
        assert "· Maps &lt;&amp;&gt;</title>" in page
        assert 'href="mailto:gis@example.org"' in page
        assert 'rel="license"' in page
        assert "https://example.org/terms" in page
