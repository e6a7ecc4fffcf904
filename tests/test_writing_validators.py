"""ETags and dates of features, what is cached by them, and what browsers are told before they write."""

import asyncio
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest

from geosvc.events import CatalogLoaded
from tests.conftest import Client, Service, execute
from tests.observing import seen as events
from tests.observing import until
from tests.posting import MERGE_PATCH, feature, place_of, point, send, with_tables, writable

TABLES = """
CREATE TABLE notes (id int PRIMARY KEY, text text, at timestamptz NOT NULL DEFAULT now(), geom geometry(Point, 4326));
INSERT INTO notes SELECT i, repeat('long ', 500), '2026-01-02 03:04:05.678Z', 'SRID=4326;POINT(25 60)'
FROM generate_series(1, 3) i;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at = clock_timestamp(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE plain (id int PRIMARY KEY, text text, n float8, geom geometry(Point, 4326));
INSERT INTO plain VALUES (1, 'a', 0, 'SRID=4326;POINT(25 60)');
"""
ITEM = "notes/items/1"
url = with_tables(TABLES)
client = writable(collections={"notes": {"modified": "at"}})


async def etag_of(client: Client, path: str, **headers: Any) -> str:
    """The ETag of a feature."""
    etag = (await send(client, "GET", path, None, 200, **headers))[0]["ETag"]
    assert etag.startswith('"')
    assert etag.endswith('"')
    return etag


async def test_the_etag_is_another_after_every_change_and_the_same_after_none(client: Client, url: str) -> None:
    path = "plain/items/1"
    seen = [await etag_of(client, path)]
    assert await etag_of(client, path) == seen[0]
    for patch in (
        {"properties": {"text": "b"}},
        {"properties": {"text": None}},
        {"properties": {"text": ""}},
        {"properties": {"n": 5e-324}},
        {"geometry": point(25.000000001, 60)},
        {"geometry": None},
    ):
        headers, _ = await send(client, "PATCH", path, patch, 204, kind=MERGE_PATCH)
        assert await etag_of(client, path) == headers["ETag"]
        seen.append(headers["ETag"])
    assert len(set(seen)) == len(seen)
    for change in ("ADD more int", "RENAME more TO less"):
        with events(CatalogLoaded) as loaded:
            await asyncio.to_thread(execute, url, f"ALTER TABLE plain {change}")
            await until(lambda loaded=loaded: loaded)  # type: ignore[misc]  # the type of a default
        seen.append(await etag_of(client, path))
    assert len(set(seen)) == len(seen)


async def test_the_etag_is_that_of_the_feature_whatever_the_representation_and_the_worker(
    service: Service, client: Client, url: str
) -> None:
    other = await service(url)
    assert await etag_of(other, ITEM, Accept_Encoding="identity") == await etag_of(client, ITEM, Accept_Encoding="identity")


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_coding_has_an_etag_of_its_own_which_is_taken_back(client: Client, coding: str) -> None:
    plain = await etag_of(client, ITEM, Accept_Encoding="identity")
    coded = await etag_of(client, ITEM, Accept_Encoding=coding)
    assert coded == f'{plain[:-1]}-{coding}"'
    for method in ("GET", "HEAD"):
        headers, body = await send(client, method, ITEM, status=304, If_None_Match=coded, Accept_Encoding=coding)
        assert body is None
        assert headers["Last-Modified"]
    change = {"properties": {"text": "short"}}
    headers, _ = await send(client, "PATCH", ITEM, change, 204, kind=MERGE_PATCH, If_Match=coded)
    await send(client, "PATCH", ITEM, change, 412, kind=MERGE_PATCH, If_Match=coded)


async def test_a_304_has_the_tag_of_the_representation_that_is_cached(client: Client) -> None:
    """RFC 9110 15.4.5: what a 200 would have had."""
    coded = await etag_of(client, ITEM, Accept_Encoding="gzip")
    headers, _ = await send(client, "GET", ITEM, status=304, If_None_Match=coded, Accept_Encoding="gzip")
    assert headers["ETag"] == coded
    assert "Accept-Encoding" in ", ".join(headers.getall("Vary"))


async def test_what_is_cached_is_not_sent_again(client: Client) -> None:
    headers, _ = await send(client, "GET", ITEM)
    etag, modified = headers["ETag"], headers["Last-Modified"]
    earlier = format_datetime(parsedate_to_datetime(modified) - timedelta(seconds=1), usegmt=True)
    assert modified == "Fri, 02 Jan 2026 03:04:05 GMT"
    for given in ({"If_None_Match": etag}, {"If_None_Match": f'"0", W/{etag}'}, {"If_None_Match": "*"}):
        await send(client, "GET", ITEM, status=304, **given)
    await send(client, "GET", ITEM, status=304, If_Modified_Since=modified)
    await send(client, "GET", ITEM, status=200, If_Modified_Since=earlier)
    await send(client, "GET", ITEM, status=200, If_Modified_Since="never")
    await send(client, "GET", ITEM, status=200, If_None_Match='"0"', If_Modified_Since=modified)  # the tag counts
    await send(client, "PATCH", ITEM, {"properties": {"text": "new"}}, 204, kind=MERGE_PATCH)
    await send(client, "GET", ITEM, status=200, If_None_Match=etag)
    await send(client, "GET", ITEM, status=200, If_Modified_Since=modified)


async def test_head_says_what_get_says(client: Client) -> None:
    got, _ = await send(client, "GET", ITEM, Accept_Encoding="identity")
    head, body = await send(client, "HEAD", ITEM, Accept_Encoding="identity")
    assert body is None
    for name in ("ETag", "Last-Modified", "Content-Type", "Content-Length", "Content-Crs"):
        assert head[name] == got[name]


async def test_tags_are_compared_strongly_and_dates_only_without_them(client: Client) -> None:
    headers, _ = await send(client, "GET", ITEM, Accept_Encoding="identity")
    etag, modified = headers["ETag"], headers["Last-Modified"]
    earlier = format_datetime(parsedate_to_datetime(modified) - timedelta(days=1), usegmt=True)
    change = {"properties": {"text": "same"}}
    for given, status in (
        ({"If_Match": f"W/{etag}"}, 412),
        ({"If_Match": '""'}, 412),
        ({"If_None_Match": etag}, 412),
        ({"If_None_Match": "*"}, 412),
        ({"If_Unmodified_Since": earlier}, 412),
        ({"If_Match": etag, "If_Unmodified_Since": earlier}, 204),
        ({"If_Match": "*"}, 204),
        ({"If_None_Match": '"0"'}, 204),
        ({"If_Unmodified_Since": "not a date"}, 204),
    ):
        for method in ("PATCH",):
            await send(client, method, ITEM, change, status, kind=MERGE_PATCH, **given)
    await send(client, "DELETE", "notes/items/2", status=412, If_Match=f"W/{etag}")
    await send(client, "DELETE", "notes/items/2", status=204, If_Match="*")
    for method in ("GET", "HEAD"):
        await send(client, method, "notes/items/2", status=404)
    await send(client, "DELETE", "notes/items/2", status=404, If_Match="*")
    await send(client, "PATCH", "notes/items/2", change, 404, kind=MERGE_PATCH)


async def test_a_new_feature_has_the_validators_that_it_is_read_with(client: Client) -> None:
    body = {**feature(point(), text="new"), "id": "17"}
    headers, _ = await send(client, "POST", "notes/items", body, 201)
    got, _ = await send(client, "GET", place_of(headers))
    assert (got["ETag"], got["Last-Modified"]) == (headers["ETag"], headers["Last-Modified"])


async def test_a_preflight_allows_what_writes_need(client: Client) -> None:
    asked = {
        "Origin": "https://example.org",
        "Access-Control-Request-Headers": "if-match, content-type, prefer, idempotency-key",
    }
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        path = "/collections/notes/items" if method == "POST" else f"/collections/{ITEM}"
        async with client.options(path, headers={**asked, "Access-Control-Request-Method": method}) as response:
            assert response.status == 204
            assert method in response.headers["Access-Control-Allow-Methods"]
            assert response.headers["Access-Control-Allow-Headers"] == asked["Access-Control-Request-Headers"]
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert "Allow" not in response.headers


async def test_options_without_a_preflight_is_the_resources_own(client: Client) -> None:
    headers, _ = await send(client, "OPTIONS", "notes/items", Origin="https://example.org")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in headers["Allow"]
    exposed = headers["Access-Control-Expose-Headers"]
    for name in ("ETag", "Location", "Allow", "Accept-Patch", "Preference-Applied", "Content-Crs", "Last-Modified"):
        assert name in exposed
    await send(client, "OPTIONS", "nothing/items", status=404)


async def test_a_browser_may_read_why_a_write_was_refused(client: Client) -> None:
    headers, _ = await send(client, "PATCH", ITEM, {"id": 1}, 422, kind=MERGE_PATCH, Origin="https://example.org")
    assert headers["Access-Control-Allow-Origin"] == "*"


async def test_answers_to_writes_say_that_they_vary(client: Client) -> None:
    headers, _ = await send(client, "PATCH", ITEM, {"properties": {"text": "x"}}, 204, kind=MERGE_PATCH)
    assert "Prefer" in ", ".join(headers.getall("Vary"))
