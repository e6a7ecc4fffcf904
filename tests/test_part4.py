"""What the abstract test suite of OGC API - Features Part 4 (draft 20-002r1) asserts, on its own
collection `buildings`.
"""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Client, Service, execute
from tests.posting import MERGE_PATCH, Answer, send

SHARED = (
    Path(
        os.environ.get(
            "GEOSVC_SHARED_DATA", Path(__file__).parent.parent.parent / "shared" / "data"
        )
    )
    / "part4"
)
TABLE = """
CREATE TYPE use AS ENUM ('residential', 'commercial', 'public', 'other');
CREATE SEQUENCE numbers START 100;
CREATE TABLE buildings (
  id text PRIMARY KEY DEFAULT 'B.' || nextval('numbers'), name text, function use NOT NULL, height float8,
  updated timestamptz NOT NULL DEFAULT date_trunc('second', clock_timestamp()), geom geometry(Polygon, 4326));
INSERT INTO buildings SELECT 'B.' || i, 'Building ' || i, 'public', 10 + i, '2026-01-02 03:04:05Z',
  ST_MakeEnvelope(8.7 + i * 0.001, 49.41, 8.7005 + i * 0.001, 49.4105, 4326) FROM generate_series(1, 3) i;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.updated = greatest(date_trunc('second', clock_timestamp()), OLD.updated + interval '1 second'); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON buildings FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE plots (id text PRIMARY KEY, name text, geom geometry(Point, 3067));
"""
RING = [
    [8.7113, 49.4131],
    [8.7117, 49.4131],
    [8.7117, 49.4134],
    [8.7113, 49.4134],
    [8.7113, 49.4131],
]
NEW: dict[str, Any] = {
    "type": "Feature",
    "geometry": {"type": "Polygon", "coordinates": [RING]},
    "properties": {"name": "New Warehouse", "function": "commercial", "height": 5.5},
}
INVALID = {**NEW, "properties": {"name": "New Warehouse", "height": 5.5}}
ITEMS, ITEM = "buildings/items", "buildings/items/B.2"


@pytest.fixture
def url(bare_database_url: str) -> str:
    execute(bare_database_url, TABLE)
    return bare_database_url


@pytest.fixture
async def client(service: Service, url: str) -> Client:
    collections = {"buildings": {"modified": "updated"}, "plots": {"put_creates": True}}
    return await service(url, writable=("buildings", "plots"), collections=collections)


async def get(client: Client, path: str = ITEM) -> Answer:
    return await send(client, "GET", path)


def bare(body: dict[str, Any]) -> dict[str, Any]:
    """What a client sent, of what it gets."""
    properties = {name: body["properties"][name] for name in ("name", "function", "height")}
    return {"type": "Feature", "geometry": body["geometry"], "properties": properties}


def shared(name: str) -> Any:
    """A file of the suite's own."""
    if not SHARED.is_dir():
        pytest.skip("the suite's data are not there: set GEOSVC_SHARED_DATA")
    return json.loads((SHARED / f"{name}.json").read_text("utf-8"))


async def test_options_tell_what_can_be_done(client: Client) -> None:
    headers, _ = await send(client, "OPTIONS", ITEMS)
    assert set(headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert "application/geo+json" in headers["Accept-Post"]
    headers, _ = await send(client, "OPTIONS", ITEM)
    assert set(headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}
    assert headers["Accept-Patch"] == "application/merge-patch+json, application/json"


async def test_the_conformance_declaration_names_the_classes(client: Client) -> None:
    async with client.get("/conformance") as response:
        classes = (await response.json())["conformsTo"]
    for name in (
        "create-replace-delete",
        "update",
        "optimistic-locking-etags",
        "optimistic-locking-timestamps",
        "handling",
    ):
        assert f"http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/{name}" in classes
    for name in (
        "create-replace-delete",
        "update",
        "features",
    ):  # as the drafts of Features Part 4 called them
        assert f"http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/{name}" in classes


async def test_create_makes_a_feature_with_a_new_id(client: Client) -> None:
    headers, body = await send(client, "POST", ITEMS, {**NEW, "id": "B.1"}, 201)
    assert body is None
    place = headers["Location"].partition("/collections/")[2]
    assert place not in (ITEM, f"{ITEMS}/B.1")
    got, stored = await get(client, place)
    assert bare(stored) == NEW
    assert got["ETag"] == headers["ETag"]


async def test_the_suites_own_bodies_do_what_they_should(client: Client) -> None:
    headers, _ = await send(client, "POST", ITEMS, shared("create-building"), 201)
    await send(
        client, "POST", ITEMS, shared("create-building-invalid"), 422, Prefer="handling=strict"
    )
    await send(client, "PUT", ITEM, shared("replace-building"), 204)
    assert bare((await get(client))[1]) == shared("replace-building")
    patch = shared("update-building")
    place = headers["Location"].partition("/collections/")[2]
    await send(client, "PATCH", place, patch, 422, kind=MERGE_PATCH)  # owner is no property
    del patch["properties"]["owner"]
    await send(client, "PATCH", place, patch, 204, kind=MERGE_PATCH)
    changed = (await get(client, place))[1]
    assert changed["geometry"] == patch["geometry"]
    assert changed["properties"]["name"] is None
    assert changed["properties"]["height"] == 7.8


@pytest.mark.parametrize(("method", "path"), [("POST", ITEMS), ("PUT", ITEM), ("PATCH", ITEM)])
async def test_a_body_without_a_content_type_is_a_bad_request_and_of_another_an_unsupported_one(
    client: Client, method: str, path: str
) -> None:
    async with client.request(
        method,
        f"/collections/{path}",
        data=json.dumps(NEW).encode(),
        skip_auto_headers=["Content-Type"],
    ) as response:
        assert response.status == 400
    headers, _ = await send(client, method, path, NEW, 415, kind="text/plain")
    assert headers["Accept-Patch" if method == "PATCH" else "Accept-Post"]


async def test_replace_sets_everything_and_passes_over_an_id_in_the_body(client: Client) -> None:
    before = (await get(client))[0]["ETag"]
    headers, body = await send(client, "PUT", ITEM, {**NEW, "id": "B.3"}, 204)
    assert body is None
    got, stored = await get(client)
    assert bare(stored) == NEW
    assert stored["id"] == "B.2"
    assert before != headers["ETag"] == got["ETag"]
    await send(client, "PUT", ITEM, {**NEW, "properties": {"function": "other"}}, 204)
    properties = (await get(client))[1]["properties"]
    assert (properties["name"], properties["height"]) == (None, None)


async def test_replace_of_what_is_not_there_makes_nothing(client: Client) -> None:
    await send(client, "PUT", f"{ITEMS}/B.99", NEW, 404)
    await send(client, "PUT", f"{ITEMS}/B.99", NEW, 404, If_Match='"xyz"')
    await send(client, "GET", f"{ITEMS}/B.99", status=404)


async def test_put_makes_a_feature_where_ids_are_the_clients_own(client: Client) -> None:
    async with client.get("/collections/plots") as response:
        assert (await response.json())["supportsNonAutogeneratedResourceIds"] is True
    plot = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [25.0, 60.0]},
        "properties": {"name": "one"},
    }
    await send(client, "PUT", "plots/items/P%2F1", plot, 412, If_Match='"xyz"')
    headers, _ = await send(client, "PUT", "plots/items/P%2F1", plot, 201)
    assert headers["Location"].endswith("/collections/plots/items/P%2F1")
    await send(client, "PUT", "plots/items/P%2F1", plot, 412, If_None_Match="*")
    await send(client, "PUT", "plots/items/P%2F1", {**plot, "properties": {}}, 204)
    assert (await get(client, "plots/items/P%2F1"))[1]["properties"] == {"id": "P/1", "name": None}
    answers = await asyncio.gather(
        *(client.put("/collections/plots/items/same", json=plot) for _ in range(8))
    )
    assert sorted(answer.status for answer in answers) == [201] + [204] * 7


async def test_delete_deletes(client: Client) -> None:
    await send(client, "DELETE", ITEM, status=204)
    await send(client, "GET", ITEM, status=404)
    await send(client, "DELETE", ITEM, status=404)


async def test_update_changes_what_it_names(client: Client) -> None:
    before = (await get(client))[1]
    patch = {"properties": {"name": None, "height": 7.8}}
    headers, _ = await send(client, "PATCH", ITEM, patch, 204, kind=MERGE_PATCH)
    got, after = await get(client)
    assert after["geometry"] == before["geometry"]
    assert after["properties"]["function"] == before["properties"]["function"]
    assert (after["properties"]["name"], after["properties"]["height"]) == (None, 7.8)
    assert got["ETag"] == headers["ETag"]
    await send(client, "PATCH", ITEM, {"geometry": NEW["geometry"]}, 204, kind=MERGE_PATCH)
    assert (await get(client))[1]["geometry"] == NEW["geometry"]
    refused = (await send(client, "PATCH", ITEM, {"id": "B.7"}, 422, kind=MERGE_PATCH))[1]
    assert refused["pointer"] == "/id"


async def test_timestamps_lock(client: Client) -> None:
    modified = (await get(client))[0]["Last-Modified"]
    earlier = format_datetime(parsedate_to_datetime(modified) - timedelta(days=1), usegmt=True)
    patch = {"properties": {"height": 1}}
    for method, body, kind in (
        ("PUT", NEW, "application/geo+json"),
        ("PATCH", patch, MERGE_PATCH),
        ("DELETE", None, ""),
    ):
        before = await get(client)
        await send(client, method, ITEM, body, 412, kind=kind, If_Unmodified_Since=earlier)
        assert (await get(client))[1] == before[1]
        now = before[0]["Last-Modified"]
        headers, _ = await send(client, method, ITEM, body, 204, kind=kind, If_Unmodified_Since=now)
        if method != "DELETE":
            assert parsedate_to_datetime(headers["Last-Modified"]) > parsedate_to_datetime(now)
    later = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)
    await send(client, "GET", f"{ITEMS}/B.1", status=304, If_Modified_Since=later)


async def test_etags_lock(client: Client) -> None:
    patch = {"properties": {"height": 2}}
    for method, body, kind in (
        ("PUT", NEW, "application/geo+json"),
        ("PATCH", patch, MERGE_PATCH),
        ("DELETE", None, ""),
    ):
        headers, before = await get(client)
        etag = headers["ETag"]
        assert etag.startswith('"')
        for wrong in ('"0"', f"W/{etag}", '"0", "1"'):
            await send(client, method, ITEM, body, 412, kind=kind, If_Match=wrong)
        assert (await get(client))[1] == before
        changed, _ = await send(client, method, ITEM, body, 204, kind=kind, If_Match=f'"0", {etag}')
        assert changed.get("ETag") != etag
    await send(
        client,
        "GET",
        f"{ITEMS}/B.1",
        status=304,
        If_None_Match=f"W/{(await get(client, f'{ITEMS}/B.1'))[0]['ETag']}",
    )


async def test_return_preferences_are_heeded(client: Client) -> None:
    headers, body = await send(client, "POST", ITEMS, NEW, 201, Prefer="return=representation")
    assert headers["Preference-Applied"] == "return=representation"
    assert bare(body) == NEW
    assert body["properties"]["updated"]
    for method, path, content, kind in (
        ("PUT", ITEM, NEW, "application/geo+json"),
        ("PATCH", ITEM, {"properties": {"height": 3}}, MERGE_PATCH),
    ):
        headers, body = await send(
            client, method, path, content, 200, kind=kind, Prefer="return=representation"
        )
        assert body["id"] == "B.2"
        assert headers["ETag"] == (await get(client))[0]["ETag"]
        headers, body = await send(
            client, method, path, content, 204, kind=kind, Prefer="return=minimal"
        )
        assert body is None
        assert headers["Preference-Applied"] == "return=minimal"


async def test_handling_preferences_are_heeded(client: Client) -> None:
    headers, problem = await send(client, "POST", ITEMS, INVALID, 422, Prefer="handling=strict")
    assert "function" in problem["detail"]
    unknown = {
        **NEW,
        "properties": {**NEW["properties"], "owner": "Jane", "updated": "2000-01-01T00:00:00Z"},
    }
    await send(client, "POST", ITEMS, unknown, 422)
    headers, _ = await send(client, "POST", ITEMS, unknown, 201, Prefer="handling=lenient")
    assert headers["Preference-Applied"] == "handling=lenient"


async def test_the_schema_is_kept_to(client: Client) -> None:
    owner = {**NEW, "properties": {**NEW["properties"], "owner": "Jane"}}
    assert (await send(client, "POST", ITEMS, owner, 422))[1]["pointer"] == "/properties/owner"
    read_only = {**NEW, "properties": {**NEW["properties"], "updated": "2000-01-01T00:00:00Z"}}
    problem = (await send(client, "PUT", ITEM, read_only, 422))[1]
    assert (problem["pointer"], problem["detail"]) == (
        "/properties/updated",
        "updated is read-only, and the feature has another value of it",
    )


async def test_content_crs_tells_the_reference_system(client: Client) -> None:
    plot = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [385_000, 6_672_000]},
        "properties": {},
    }
    own = "http://www.opengis.net/def/crs/EPSG/0/3067"
    await send(client, "PUT", "plots/items/a", plot, 201, Content_Crs=f"<{own}>")
    x, y = (await get(client, "plots/items/a"))[1]["geometry"]["coordinates"]
    assert (round(x, 2), round(y, 2)) == (24.93, 60.17)
    flipped = {**plot, "geometry": {"type": "Point", "coordinates": [y, x]}}
    await send(
        client,
        "PUT",
        "plots/items/b",
        flipped,
        201,
        Content_Crs="http://www.opengis.net/def/crs/EPSG/0/4326",
    )
    assert (await get(client, "plots/items/b"))[1]["geometry"]["coordinates"] == [x, y]
    problem = (
        await send(
            client, "PUT", "plots/items/c", plot, 400, Content_Crs="<http://example.org/crs>"
        )
    )[1]
    assert problem["parameter"] == "Content-Crs"


async def test_a_collection_can_demand_preconditions(service: Service, url: str) -> None:
    client = await service(
        url, writable=("*",), collections={"buildings": {"require_precondition": True}}
    )
    await send(client, "PUT", ITEM, NEW, 428)
    await send(client, "DELETE", ITEM, status=428)
    etag = (await get(client))[0]["ETag"]
    await send(client, "PUT", ITEM, NEW, 204, If_Match=etag)


async def test_nothing_can_be_written_by_default(service: Service, url: str) -> None:
    client = await service(url)
    for method, path in (("POST", ITEMS), ("PUT", ITEM), ("PATCH", ITEM), ("DELETE", ITEM)):
        headers, _ = await send(client, method, path, NEW, 405)
        assert set(headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    async with client.get("/conformance") as response:
        assert "ogcapi-common-5" not in await response.text()


async def test_fifty_clients_that_count_lose_nothing(client: Client) -> None:
    """Each reads, adds one, and writes under If-Match, until it has done so."""
    await send(client, "PATCH", ITEM, {"properties": {"height": 0}}, 204, kind=MERGE_PATCH)
    done = await asyncio.gather(*(count_up(client, ITEM, "height", 4) for _ in range(50)))
    assert sum(done) == 200
    assert (await get(client))[1]["properties"]["height"] == 200


async def count_up(client: Client, path: str, name: str, times: int) -> int:
    """Adds one so many times. Returns how often it was done."""
    done = 0
    while done < times:
        headers, body = await get(client, path)
        patch = {"properties": {name: body["properties"][name] + 1}}
        async with client.patch(
            f"/collections/{path}",
            data=json.dumps(patch),
            headers={"Content-Type": MERGE_PATCH, "If-Match": headers["ETag"]},
        ) as response:
            assert response.status in (204, 412), await response.text()
            done += response.status == 204
    return done
