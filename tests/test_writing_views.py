"""Writes to what is no plain table: views, partitions, generated columns, odd names; and what a
role may not do.
"""

import asyncio
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.conftest import Client, Service, execute
from tests.posting import MERGE_PATCH, feature, place_of, point, send, with_tables, writable

PASSWORD = "s3cret-passw0rd"
TABLES = f"""
CREATE TABLE base (
    id serial PRIMARY KEY, name text NOT NULL, n int NOT NULL DEFAULT 7, note text DEFAULT 'none', geom geometry(Point, 4326));
INSERT INTO base (name, geom) VALUES ('first', 'SRID=4326;POINT(25 60)');
CREATE VIEW filtered AS SELECT id, name, upper(name) AS loud, n, note, geom FROM base WHERE n > 0 WITH CHECK OPTION;
CREATE VIEW own_default AS SELECT id, name, note, geom FROM base;
ALTER VIEW own_default ALTER COLUMN note SET DEFAULT 'of the view';
CREATE VIEW keyless AS SELECT name, geom FROM base;
CREATE VIEW counted AS SELECT n, count(*) AS rows, ST_Collect(geom) AS geom FROM base GROUP BY n;
CREATE MATERIALIZED VIEW stored AS SELECT * FROM base;
CREATE VIEW renamed AS SELECT id AS number, name AS title, geom AS place FROM base;
CREATE FUNCTION write_renamed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO base (name, geom) VALUES (NEW.title || '!', NEW.place) RETURNING id INTO NEW.number;
    ELSIF TG_OP = 'UPDATE' THEN
        IF NEW.title = 'refused' THEN RAISE EXCEPTION 'no such title'; END IF;
        IF NEW.title = 'dropped' THEN RETURN NULL; END IF;
        UPDATE base SET name = NEW.title || '!', geom = NEW.place WHERE id = OLD.number;
    ELSE DELETE FROM base WHERE id = OLD.number; RETURN OLD; END IF;
    RETURN NEW; END $$;
CREATE TRIGGER write_renamed INSTEAD OF INSERT OR UPDATE OR DELETE ON renamed FOR EACH ROW EXECUTE FUNCTION write_renamed();
CREATE VIEW growing AS SELECT id, name, geom FROM base WHERE id > 0 OFFSET 0;
CREATE FUNCTION grow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO base (name, geom) VALUES (NEW.name, NEW.geom) RETURNING id INTO NEW.id; RETURN NEW; END $$;
CREATE TRIGGER grow INSTEAD OF INSERT ON growing FOR EACH ROW EXECUTE FUNCTION grow();
CREATE TABLE parts (id int, day date, n int, geom geometry(Point, 4326), PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_2024 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE computed (id serial PRIMARY KEY, x float8, twice float8 GENERATED ALWAYS AS (x * 2) STORED,
    geom geometry(Point, 4326) GENERATED ALWAYS AS (ST_SetSRID(ST_Point(x, 60), 4326)) STORED);
CREATE TABLE two (id serial PRIMARY KEY, n int, a geometry(Point, 4326), b geometry(Point, 3067));
CREATE TABLE odd ("id" serial PRIMARY KEY, "select" int, "a b" text, "é%s" text, "a.b" text, "x[0]" text, "a/b~c" text,
    geom geometry);
CREATE TABLE quoted (id serial PRIMARY KEY, plain text, "say ""so"" loud" text, "back\\slash" text,
    geom geometry);
INSERT INTO quoted (plain) VALUES ('x');
CREATE TABLE geographic (id serial PRIMARY KEY, geog geography(Point, 4326));
DROP ROLE IF EXISTS scribe_of_views;
CREATE ROLE scribe_of_views LOGIN PASSWORD '{PASSWORD}';
GRANT SELECT ON base, computed TO scribe_of_views;
GRANT INSERT (name, geom), UPDATE (name) ON base TO scribe_of_views;
GRANT USAGE ON SEQUENCE base_id_seq TO scribe_of_views;
GRANT SELECT, DELETE ON parts TO scribe_of_views;
"""
KEYS = {
    "filtered": {"key": ["id"]},
    "own_default": {"key": ["id"]},
    "counted": {"key": ["n"]},
    "renamed": {"key": ["number"]},
    "growing": {"key": ["id"]},
}
NOTHING = {"GET", "HEAD", "OPTIONS"}
CHANGES = {"PUT", "PATCH", "DELETE"}
url = with_tables(TABLES)
client = writable(collections=KEYS)


@pytest.fixture
async def scribe(service: Service, url: str) -> Client:
    """The same for the role that may do little."""
    parts = urlsplit(url)
    netloc = f"scribe_of_views:{PASSWORD}@{parts.netloc.rpartition('@')[2]}"
    return await service(parts._replace(netloc=netloc).geturl(), writable=("*",), collections=KEYS)


async def allowed(client: Client, path: str) -> set[str]:
    """The methods of a resource; every other one is a 405 that names the same."""
    headers, _ = await send(client, "OPTIONS", path)
    methods = set(headers["Allow"].split(", "))
    for method in {"POST", "PUT", "PATCH", "DELETE"} - methods:
        refused, _ = await send(client, method, path, feature(point()), 405)
        assert set(refused["Allow"].split(", ")) == methods
    return methods


@pytest.mark.parametrize(
    ("collection", "items", "item"),
    [
        ("base", {"POST"}, CHANGES),
        ("filtered", {"POST"}, CHANGES),
        ("renamed", {"POST"}, CHANGES),
        ("growing", {"POST"}, set()),
        ("keyless", {"POST"}, set()),
        ("counted", set(), set()),
        ("stored", set(), set()),
        ("parts", {"POST"}, CHANGES),
    ],
)
async def test_what_a_relation_takes_is_what_it_says(
    client: Client, collection: str, items: set[str], item: set[str]
) -> None:
    assert await allowed(client, f"{collection}/items") == NOTHING | items
    feature_id = "1,2024-05-05" if collection == "parts" else "1"
    assert await allowed(client, f"{collection}/items/{feature_id}") == NOTHING | item


async def test_a_view_has_the_defaults_and_constraints_of_its_table(client: Client) -> None:
    headers, body = await send(
        client,
        "POST",
        "filtered/items",
        feature(point(), name="new"),
        201,
        Prefer="return=representation",
    )
    assert body["properties"] == {"id": 2, "name": "new", "loud": "NEW", "n": 7, "note": "none"}
    problem = (await send(client, "POST", "filtered/items", feature(point()), 422))[1]
    assert problem["property"] == "name"
    problem = (
        await send(client, "POST", "filtered/items", feature(point(), name="x", loud="X"), 422)
    )[1]
    assert (problem["pointer"], problem["detail"]) == ("/properties/loud", "loud is read-only")
    for method, path, kind in (
        ("POST", "filtered/items", "application/geo+json"),
        ("PATCH", place_of(headers), MERGE_PATCH),
    ):
        await send(client, method, path, feature(point(), name="x", n=-1), 409, kind=kind)
    await send(client, "PATCH", place_of(headers), {"properties": {"n": 8}}, 204, kind=MERGE_PATCH)


async def test_a_view_has_the_etags_and_preconditions_of_a_table(client: Client) -> None:
    headers, _ = await send(client, "POST", "filtered/items", feature(point(), name="new"), 201)
    place = place_of(headers)
    assert (await send(client, "GET", place))[0]["ETag"] == headers["ETag"]
    patch = {"properties": {"n": 5}}
    await send(client, "PATCH", place, patch, 412, kind=MERGE_PATCH, If_Match='"0"')
    headers, _ = await send(
        client, "PATCH", place, patch, 204, kind=MERGE_PATCH, If_Match=headers["ETag"]
    )
    assert (await send(client, "GET", place))[0]["ETag"] == headers["ETag"]
    await send(client, "DELETE", place, status=204)
    await send(client, "GET", place, status=404)


async def test_a_put_to_a_view_does_not_know_the_defaults_of_its_table(client: Client) -> None:
    """PostgreSQL takes them for INSERT alone: in an UPDATE the default of a view's column is
    NULL.
    """
    problem = (await send(client, "PUT", "filtered/items/1", feature(point(), name="new"), 422))[1]
    assert problem["pointer"] == "/properties/n"
    assert (await send(client, "GET", "filtered/items/1"))[1]["properties"]["note"] == "none"
    await send(client, "PUT", "filtered/items/1", feature(point(), name="new", n=8), 204)
    assert (await send(client, "GET", "filtered/items/1"))[1]["properties"]["note"] is None
    await send(client, "PUT", "base/items/1", feature(point(), name="new"), 204)
    stored = (await send(client, "GET", "base/items/1"))[1]["properties"]
    assert (stored["n"], stored["note"]) == (7, "none")


async def test_a_view_may_have_a_default_of_its_own(client: Client) -> None:
    headers, _ = await send(client, "POST", "own_default/items", feature(point(), name="new"), 201)
    for path in ("own_default/items/1", place_of(headers)):
        await send(client, "PATCH", path, {"properties": {"note": "x"}}, 204, kind=MERGE_PATCH)
        await send(client, "PUT", path, feature(point(), name="new"), 204)
        assert (await send(client, "GET", path))[1]["properties"]["note"] == "of the view"


async def test_what_a_trigger_of_a_view_makes_of_it_is_what_is_answered(client: Client) -> None:
    prefer = "return=representation"
    headers, body = await send(
        client, "POST", "renamed/items", feature(point(), title="a"), 201, Prefer=prefer
    )
    assert (body["id"], body["properties"]["title"]) == (2, "a!")
    assert (await send(client, "GET", place_of(headers)))[0]["ETag"] == headers["ETag"]
    for method, kind in (("PUT", "application/geo+json"), ("PATCH", MERGE_PATCH)):
        changed, body = await send(
            client,
            method,
            place_of(headers),
            feature(point(), title="b"),
            200,
            kind=kind,
            Prefer=prefer,
        )
        assert body["properties"]["title"] == "b!"
        got, stored = await send(client, "GET", place_of(headers))
        assert (got["ETag"], stored) == (changed["ETag"], body)
    problem = (
        await send(client, "PUT", place_of(headers), feature(point(), title="refused"), 422)
    )[1]
    assert "no such title" in problem["detail"]
    problem = (
        await send(client, "PUT", place_of(headers), feature(point(), title="dropped"), 422)
    )[1]
    assert "trigger" in problem["detail"]
    await send(client, "DELETE", place_of(headers), status=412, If_Match='"0"')
    await send(client, "DELETE", place_of(headers), status=204, If_Match=got["ETag"])
    await send(client, "DELETE", place_of(headers), status=404)


async def test_a_feature_of_a_keyless_view_has_no_links_to_itself(client: Client) -> None:
    headers, body = await send(
        client,
        "POST",
        "keyless/items",
        feature(point(), name="x"),
        201,
        Prefer="return=representation",
    )
    assert "Location" not in headers
    assert [link["href"] for link in body["links"] if link["rel"] == "self"] == []


async def test_partitions_are_one_collection(client: Client) -> None:
    headers, _ = await send(
        client, "POST", "parts/items", {**feature(point(), n=1), "id": "1,2024-05-05"}, 201
    )
    await send(client, "PATCH", place_of(headers), {"properties": {"n": 2}}, 204, kind=MERGE_PATCH)
    etag = (await send(client, "GET", place_of(headers)))[0]["ETag"]
    await send(client, "POST", "parts/items", {**feature(point()), "id": "1,2030-05-05"}, 409)
    await send(client, "DELETE", place_of(headers), status=204, If_Match=etag)


async def test_what_is_generated_cannot_be_written_and_follows(client: Client) -> None:
    headers, _ = await send(client, "POST", "computed/items", feature(None, x=3), 201)
    for method, path in (("POST", "computed/items"), ("PUT", place_of(headers))):
        problem = (await send(client, method, path, feature(point(), x=3), 422))[1]
        assert (problem["pointer"], problem["detail"]) == ("/geometry", "the geometry is read-only")
    problem = (
        await send(
            client, "PATCH", place_of(headers), {"properties": {"twice": 3}}, 422, kind=MERGE_PATCH
        )
    )[1]
    assert problem["pointer"] == "/properties/twice"
    _, body = await send(
        client, "PUT", place_of(headers), feature(None, x=4), 200, Prefer="return=representation"
    )
    assert (body["geometry"]["coordinates"], body["properties"]["twice"]) == ([4, 60], 8)


async def test_of_two_geometries_each_collection_writes_its_own(client: Client) -> None:
    headers, _ = await send(client, "POST", "two/items", feature(point(), n=1), 201)
    number = place_of(headers).rpartition("/")[2]
    await send(client, "PUT", f"two.b/items/{number}", feature(point(26, 61), n=2), 204)
    assert (await send(client, "GET", f"two/items/{number}"))[1]["geometry"] == point()
    assert (await send(client, "GET", f"two.b/items/{number}"))[1]["geometry"] == point(26, 61)


async def test_a_geography_is_written_like_a_geometry(client: Client) -> None:
    headers, _ = await send(client, "POST", "geographic/items", feature(point()), 201)
    await send(
        client, "PATCH", place_of(headers), {"geometry": point(26, 61)}, 204, kind=MERGE_PATCH
    )
    assert (await send(client, "GET", place_of(headers)))[1]["geometry"] == point(26, 61)


async def test_properties_of_odd_names_are_written(client: Client) -> None:
    names = ["a b", "é%s", "a.b", "x[0]", "a/b~c"]
    values: dict[str, Any] = dict.fromkeys(names, "x") | {"select": 1}
    headers, _ = await send(client, "POST", "odd/items", feature(None, **values), 201)
    await send(client, "PUT", place_of(headers), feature(None, **values), 204)
    changed = dict.fromkeys(names, "y") | {"select": None}
    await send(client, "PATCH", place_of(headers), {"properties": changed}, 204, kind=MERGE_PATCH)
    stored = (await send(client, "GET", place_of(headers)))[1]["properties"]
    assert {name: stored[name] for name in changed} == changed
    for name in names:
        problem = (await send(client, "POST", "odd/items", feature(None, **{name: 5}), 422))[1]
        assert problem["pointer"] == f"/properties/{name.replace('~', '~0').replace('/', '~1')}"


async def test_a_table_with_a_quote_in_a_name_can_be_written_to(client: Client) -> None:
    """Whether a property of such a name can be written itself is another matter."""
    await send(client, "POST", "quoted/items", feature(None, plain="x"), 201)
    await send(client, "PUT", "quoted/items/1", feature(None, plain="y"), 204)
    await send(
        client, "PATCH", "quoted/items/1", {"properties": {"plain": "z"}}, 204, kind=MERGE_PATCH
    )
    await send(client, "POST", "quoted/items", feature(None, **{'say "so" loud': "x"}), None)


async def test_the_table_of_nasty_names_can_be_written_to(
    service: Service, nasty_database_url: str
) -> None:
    client = await service(nasty_database_url, writable=("*",))
    path = quote('nasty "names" ünïcode', safe="") + "/items"
    names = [
        "select",
        "UPPER",
        "upper",
        "geometry",
        "it's",
        "100%",
        "{}",
        "a.b",
        "a,b",
        "é",
        "e\u0301",
        "šäöß日本語",
        "1",
    ]
    values = {name: f"value of {name}" for name in names}
    await send(client, "PATCH", f"{path}/1", {"properties": values}, 204, kind=MERGE_PATCH)
    stored = (await send(client, "GET", f"{path}/1"))[1]["properties"]
    assert {name: stored[name] for name in names} == values


async def test_privileges_decide_about_methods_and_properties(scribe: Client) -> None:
    assert await allowed(scribe, "base/items") == NOTHING | {"POST"}
    assert await allowed(scribe, "base/items/1") == NOTHING | {"PUT", "PATCH"}
    assert await allowed(scribe, "parts/items") == NOTHING
    assert await allowed(scribe, "parts/items/1,2024-01-01") == NOTHING | {"DELETE"}
    assert await allowed(scribe, "computed/items") == NOTHING
    await send(scribe, "POST", "base/items", feature(point(), name="x"), 201)
    problem = (await send(scribe, "POST", "base/items", feature(point(), name="x", n=1), 422))[1]
    assert problem["pointer"] == "/properties/n"
    await send(
        scribe, "PATCH", "base/items/1", {"properties": {"name": "y"}}, 204, kind=MERGE_PATCH
    )
    problem = (
        await send(
            scribe, "PATCH", "base/items/1", {"geometry": point(1, 2)}, 422, kind=MERGE_PATCH
        )
    )[1]
    assert problem["pointer"] == "/geometry"


async def test_a_privilege_that_is_taken_away_is_no_failure_of_the_service(
    scribe: Client, url: str
) -> None:
    await send(
        scribe, "PATCH", "base/items/1", {"properties": {"name": "y"}}, 204, kind=MERGE_PATCH
    )
    await asyncio.to_thread(execute, url, "REVOKE UPDATE (name) ON base FROM scribe_of_views")
    await send(
        scribe, "PATCH", "base/items/1", {"properties": {"name": "z"}}, None, kind=MERGE_PATCH
    )
    assert (await send(scribe, "GET", "base/items/1"))[1]["properties"]["name"] == "y"
