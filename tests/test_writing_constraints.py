"""What only the database knows: its constraints and triggers refuse a feature, and say which; and
dry runs that find them.
"""

from typing import Any

import pytest

from geosvc.events import RequestFailed, WriteFailed
from tests.conftest import Client
from tests.observing import seen
from tests.posting import (
    GEOJSON,
    MERGE_PATCH,
    feature,
    place_of,
    point,
    send,
    with_tables,
    writable,
)

TABLES = """
CREATE TABLE owners (id int PRIMARY KEY);
INSERT INTO owners VALUES (1);
CREATE TABLE parcels (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text CONSTRAINT one_name UNIQUE,
    owner int CONSTRAINT has_owner REFERENCES owners, size float8 CONSTRAINT some_size CHECK (size > 0),
    period int4range, CONSTRAINT one_at_a_time EXCLUDE USING gist (period WITH &&),
    late int CONSTRAINT one_late UNIQUE DEFERRABLE INITIALLY DEFERRED, must text NOT NULL DEFAULT 'x', note text,
    geom geometry(Point, 4326) CONSTRAINT in_the_north CHECK (ST_Y(geom) > 0));
INSERT INTO parcels (name, owner, period, late, geom) VALUES ('taken', 1, '[1,5)', 7, 'SRID=4326;POINT(25 60)');
INSERT INTO parcels (name, geom) VALUES ('mine', 'SRID=4326;POINT(25 60)');
CREATE TABLE tenants (id int PRIMARY KEY, parcel int CONSTRAINT lives_there REFERENCES parcels);
INSERT INTO tenants VALUES (1, 1);
CREATE FUNCTION half(text) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT length($1)::int / (length($1) - 3) $$;
CREATE FUNCTION fits(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1::int > 0; END $$;
CREATE DOMAIN fitting AS text CHECK (VALUE = 'x' OR fits(VALUE));
CREATE FUNCTION doubled(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1::int * 2; END $$;
CREATE TABLE checked (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text CHECK (code = 'x' OR fits(code)), area int,
    fit fitting, twice text, made text GENERATED ALWAYS AS (doubled(twice)) STORED, per int CHECK (10 / area > 0),
    price numeric(6, 2), day date, geom geometry);
INSERT INTO checked (code) VALUES ('1');
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.note = 'raise' THEN RAISE EXCEPTION 'parcels are closed on Sundays' USING HINT = 'come back'; END IF;
    IF NEW.note = 'named' THEN RAISE EXCEPTION 'not this one' USING CONSTRAINT = 'good_notes'; END IF;
    IF NEW.note = 'sqlstate' THEN RAISE EXCEPTION 'secret-%', NEW.name USING ERRCODE = '45000'; END IF;
    IF NEW.note = 'class 23' THEN RAISE EXCEPTION 'secret-%', NEW.name USING ERRCODE = 'check_violation'; END IF;
    IF NEW.note = 'class 22' THEN RAISE EXCEPTION 'secret-%', NEW.name USING ERRCODE = '22023'; END IF;
    IF NEW.note = 'odd' THEN RAISE EXCEPTION 'secret-%', NEW.name USING ERRCODE = 'ZZ001'; END IF;
    IF NEW.note = 'assert' THEN ASSERT false, 'an assertion'; END IF;
    IF NEW.note = 'null' THEN NEW.must = NULL; END IF;
    IF NEW.note = 'drop' THEN RETURN NULL; END IF;
    IF NEW.note = 'broken' THEN PERFORM FROM no_such_table; END IF;
    IF NEW.note = 'misspelt' THEN EXECUTE 'SELEKT 1'; END IF;
    IF NEW.note = 'divides' THEN NEW.size = 1 / (length(NEW.note) - 7); END IF;
    IF NEW.note = 'casts' THEN NEW.owner = NEW.note::int; END IF;
    IF NEW.note = 'dates' THEN NEW.must = 'yesterday or so'::date; END IF;
    IF NEW.note = 'json' THEN NEW.must = '{'::json; END IF;
    IF NEW.note = 'strict' THEN SELECT id INTO STRICT NEW.owner FROM owners WHERE id < 0; END IF;
    IF NEW.note = 'many' THEN NEW.owner = (SELECT 1 FROM generate_series(1, 2)); END IF;
    IF NEW.note = 'index' THEN NEW.must = (ARRAY[]::text[])[1] || substr('a', 1, -1); END IF;
    IF NEW.note = 'geometry' THEN NEW.must = ST_AsText(ST_GeomFromText('POINT(')); END IF;
    IF NEW.note = 'sql' THEN NEW.owner = half(NEW.note); END IF;
    IF NEW.note = 'change' THEN NEW.note = 'changed by the trigger'; END IF;
    RETURN NEW; END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON parcels FOR EACH ROW EXECUTE FUNCTION guard();
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF OLD.note = 'kept' THEN RETURN NULL; END IF; RETURN OLD; END $$;
CREATE TRIGGER keep BEFORE DELETE ON parcels FOR EACH ROW EXECUTE FUNCTION keep();
CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.note = 'later' THEN RAISE EXCEPTION 'found at the end'; END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT OR UPDATE ON parcels DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION later();
CREATE TABLE areas (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, geom geometry(Polygon, 4326));
CREATE TABLE towers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, geom geometry(PointZ, 4326));
CREATE TABLE lots (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, geom geometry(MultiPolygon, 4326));
"""
ITEMS, ITEM = "parcels/items", "parcels/items/2"
BOW_TIE = {"type": "Polygon", "coordinates": [[[25, 60], [26, 61], [26, 60], [25, 61], [25, 60]]]}
REFUSALS: list[tuple[dict[str, Any], int, str | None]] = [
    ({"name": "taken"}, 409, "one_name"),
    ({"owner": 99}, 409, "has_owner"),
    ({"size": -1}, 409, "some_size"),
    ({"period": "[2,3)"}, 409, "one_at_a_time"),
    ({"late": 7}, 409, "one_late"),
    ({"note": "raise"}, 422, None),
    ({"note": "named"}, 422, "good_notes"),
    ({"note": "sqlstate"}, 422, None),
    ({"note": "class 23"}, 409, None),
    ({"note": "class 22"}, 422, None),
    ({"note": "odd"}, 422, None),
    ({"note": "assert"}, 422, None),
    ({"note": "null"}, 422, None),
    ({"note": "drop"}, 422, None),
    ({"note": "later"}, 422, None),
]
url = with_tables(TABLES)
client = writable()


def parcel(**properties: Any) -> dict[str, Any]:
    """A good feature."""
    return feature(point(), **properties)


@pytest.mark.parametrize("query", ["", "?dry-run=true"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_what_a_constraint_or_a_trigger_refuses_is_told_with_its_name(
    client: Client, method: str, query: str
) -> None:
    """In a dry run too, deferred ones included."""
    path, kind = ITEMS if method == "POST" else ITEM, MERGE_PATCH if method == "PATCH" else GEOJSON
    before = await send(client, "GET", ITEMS)
    wrong = []
    with seen(RequestFailed) as failed:
        for properties, status, constraint in REFUSALS:
            async with client.request(
                method,
                f"/collections/{path}{query}",
                json=parcel(**properties),
                headers={"Content-Type": kind},
            ) as response:
                text = await response.text()
                problem = await response.json(content_type=None) if text else {}
                if (response.status, problem.get("constraint")) != (status, constraint):
                    wrong.append((properties, response.status, problem))
    assert not wrong
    assert not failed
    assert (await send(client, "GET", ITEMS))[1]["features"] == before[1]["features"]


async def test_a_trigger_is_told_in_its_own_words_and_a_column_by_its_name(client: Client) -> None:
    problem = (await send(client, "POST", ITEMS, parcel(note="raise"), 422))[1]
    assert "parcels are closed on Sundays" in problem["detail"]
    problem = (
        await send(client, "PATCH", ITEM, {"properties": {"note": "later"}}, 422, kind=MERGE_PATCH)
    )[1]
    assert "found at the end" in problem["detail"]
    for note in ("sqlstate", "class 23", "class 22", "odd"):
        problem = (await send(client, "POST", ITEMS, parcel(note=note, name="x"), None))[1]
        assert "secret-x" in problem["detail"], note
    problem = (await send(client, "POST", ITEMS, parcel(note="null"), 422))[1]
    assert problem["pointer"] == "/properties/must"
    problem = (await send(client, "POST", ITEMS, feature(point(25, -60)), 409))[1]
    assert problem["constraint"] == "in_the_north"


BROKEN = (
    "broken",
    "misspelt",
    "divides",
    "casts",
    "dates",
    "json",
    "strict",
    "many",
    "index",
    "geometry",
    "sql",
)


async def test_a_trigger_that_does_not_run_is_no_fault_of_the_client(client: Client) -> None:
    """What it trips over is in the log with the function's name, and without the values."""
    for note in BROKEN:
        for method, path, kind in (("POST", ITEMS, GEOJSON), ("PATCH", ITEM, MERGE_PATCH)):
            with seen(RequestFailed) as failed:
                problem = (await send(client, method, path, parcel(note=note), 500, kind=kind))[1]
            assert "guard" not in str(problem)
            assert ["guard()" in str(event) or "half" in str(event) for event in failed] == [
                True
            ], (note, failed)
    report = {"type": "FeatureCollection", "features": [parcel(), parcel(note="divides")]}
    for prefer in ("handling=strict", "handling=lenient"):
        await send(client, "POST", ITEMS, report, 500, Prefer=prefer)


# properties, the status, and the function that the log names or what the client is told
TRIPPED: list[tuple[dict[str, Any], int, str]] = [
    ({"code": "a"}, 500, "fits(text)"),
    ({"fit": "a"}, 500, "fits(text)"),
    ({"twice": "a"}, 500, "doubled(text)"),
    ({"area": 0}, 422, "divides by zero"),
    ({"day": "never"}, 422, "day"),
    ({"price": 12345}, 422, "price"),
]


async def test_a_function_of_a_check_or_a_column_that_fails_is_no_fault_of_the_client(
    client: Client,
) -> None:
    for properties, status, words in TRIPPED:
        for method, path, kind in (
            ("POST", "checked/items", GEOJSON),
            ("PATCH", "checked/items/1", MERGE_PATCH),
        ):
            with seen(RequestFailed) as failed:
                problem = (
                    await send(client, method, path, parcel(**properties), status, kind=kind)
                )[1]
            assert words in (str(failed) if status == 500 else problem["detail"]), (
                properties,
                problem,
                failed,
            )


async def test_no_value_of_a_request_is_in_the_event_of_a_refusal(client: Client) -> None:
    with seen(WriteFailed) as events:
        for properties, _, _ in REFUSALS:
            body = parcel(**{"name": "xyzzy-plugh", **properties})
            async with client.post(
                f"/collections/{ITEMS}", json=body, headers={"Content-Type": GEOJSON}
            ):
                pass
        await send(client, "POST", ITEMS, parcel(period="xyzzy"), 422)
    assert len(events) >= 10
    assert not [event for event in events if "xyzzy" in str(event)]


async def test_a_row_that_a_trigger_keeps_is_not_deleted_and_one_that_is_referred_to_neither(
    client: Client,
) -> None:
    assert (await send(client, "DELETE", "parcels/items/1", status=409))[1][
        "constraint"
    ] == "lives_there"
    await send(client, "PATCH", ITEM, {"properties": {"note": "kept"}}, 204, kind=MERGE_PATCH)
    problem = (await send(client, "DELETE", ITEM, status=None))[1]
    assert problem["status"] in (409, 422)  # there it is: not found would be a lie
    await send(client, "GET", ITEM)


async def test_a_change_that_a_trigger_drops_is_no_missing_feature(client: Client) -> None:
    etag = (await send(client, "GET", ITEM))[0]["ETag"]
    body = {"properties": {"note": "drop"}}
    assert (await send(client, "PATCH", ITEM, body, 422, kind=MERGE_PATCH))[1]["detail"]
    assert (await send(client, "PATCH", ITEM, body, 422, kind=MERGE_PATCH, If_Match=etag))[1][
        "detail"
    ]


async def test_what_a_trigger_changes_is_what_is_returned(client: Client) -> None:
    for method, path, status in (("POST", ITEMS, 201), ("PUT", ITEM, 200), ("PATCH", ITEM, 200)):
        kind = MERGE_PATCH if method == "PATCH" else GEOJSON
        headers, body = await send(
            client,
            method,
            path,
            parcel(note="change"),
            status,
            kind=kind,
            Prefer="return=representation",
        )
        assert body["properties"]["note"] == "changed by the trigger"
        got, stored = await send(client, "GET", f"{ITEMS}/{body['id']}")
        assert (got["ETag"], stored) == (headers["ETag"], body)


async def test_a_dry_run_answers_and_stores_nothing(client: Client) -> None:
    before = (await send(client, "GET", ITEMS))[1]["features"]
    etag = (await send(client, "GET", ITEM))[0]["ETag"]
    prefer = "return=representation"
    body = (
        await send(client, "POST", f"{ITEMS}?dry-run=true", parcel(name="new"), 200, Prefer=prefer)
    )[1]
    assert body["properties"]["name"] == "new"
    await send(client, "PUT", f"{ITEM}?dry-run=true", parcel(name="new"), 200)
    await send(
        client,
        "PATCH",
        f"{ITEM}?dry-run=true",
        {"properties": {"name": "x"}},
        200,
        kind=MERGE_PATCH,
    )
    await send(client, "PUT", f"{ITEM}?dry-run=true", parcel(), 412, If_Match='"0"')
    await send(client, "PUT", f"{ITEMS}/99?dry-run=true", parcel(), 404)
    await send(client, "DELETE", f"{ITEM}?dry-run=true", status=204, If_Match=etag)
    await send(client, "DELETE", "parcels/items/1?dry-run=true", status=409)
    assert (await send(client, "GET", ITEMS))[1]["features"] == before


async def test_a_bow_tie_is_mended_on_request_and_the_answer_says_so(client: Client) -> None:
    await send(client, "POST", "lots/items", feature(BOW_TIE), 422)
    headers, _ = await send(client, "POST", "lots/items?repair=true", feature(BOW_TIE), 201)
    geometry = (await send(client, "GET", place_of(headers)))[1]["geometry"]
    assert (geometry["type"], len(geometry["coordinates"])) == ("MultiPolygon", 2)
    await send(client, "PUT", f"{place_of(headers)}?repair=true", feature(BOW_TIE), 204)
    await send(
        client,
        "PATCH",
        f"{place_of(headers)}?repair=true",
        {"geometry": BOW_TIE},
        204,
        kind=MERGE_PATCH,
    )
    problem = (await send(client, "POST", "areas/items?repair=true", feature(BOW_TIE), 422))[
        1
    ]  # two parts are no polygon
    assert "Self-intersection" in problem["detail"]
    told, body = await send(
        client,
        "POST",
        "lots/items?repair=true",
        feature(BOW_TIE),
        201,
        Prefer="return=representation",
    )
    assert "made valid" in str(dict(told)) + str(body)


async def test_heights_are_left_out_and_added_on_request(client: Client) -> None:
    high = feature({"type": "Point", "coordinates": [25, 60, 7]})
    await send(client, "POST", ITEMS, high, 422)
    headers, _ = await send(client, "POST", f"{ITEMS}?repair=true", high, 201)
    assert (await send(client, "GET", place_of(headers)))[1]["geometry"] == point()
    headers, _ = await send(client, "POST", "towers/items?repair=true", feature(point()), 201)
    assert (await send(client, "GET", place_of(headers)))[1]["geometry"]["coordinates"] == [
        25,
        60,
        0,
    ]
