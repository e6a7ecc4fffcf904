"""ETags and dates of features, what is cached by them, and what browsers are told before they
write.
"""

import asyncio
import json
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


async def test_the_etag_is_another_after_every_change_and_the_same_after_none(
    client: Client, url: str
) -> None:
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
    assert await etag_of(other, ITEM, Accept_Encoding="identity") == await etag_of(
        client, ITEM, Accept_Encoding="identity"
    )


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_coding_has_an_etag_of_its_own_which_is_taken_back(
    client: Client, coding: str
) -> None:
    plain = await etag_of(client, ITEM, Accept_Encoding="identity")
    coded = await etag_of(client, ITEM, Accept_Encoding=coding)
    assert coded == f'{plain[:-1]}-{coding}"'
    for method in ("GET", "HEAD"):
        headers, body = await send(
            client, method, ITEM, status=304, If_None_Match=coded, Accept_Encoding=coding
        )
        assert body is None
        assert headers["Last-Modified"]
    change = {"properties": {"text": "short"}}
    headers, _ = await send(client, "PATCH", ITEM, change, 204, kind=MERGE_PATCH, If_Match=coded)
    await send(client, "PATCH", ITEM, change, 412, kind=MERGE_PATCH, If_Match=coded)


async def test_a_304_has_the_tag_of_the_representation_that_is_cached(client: Client) -> None:
    """RFC 9110 15.4.5: what a 200 would have had."""
    coded = await etag_of(client, ITEM, Accept_Encoding="gzip")
    headers, _ = await send(
        client, "GET", ITEM, status=304, If_None_Match=coded, Accept_Encoding="gzip"
    )
    assert headers["ETag"] == coded
    assert "Accept-Encoding" in ", ".join(headers.getall("Vary"))


async def test_what_is_cached_is_not_sent_again(client: Client) -> None:
    headers, _ = await send(client, "GET", ITEM)
    etag, modified = headers["ETag"], headers["Last-Modified"]
    earlier = format_datetime(parsedate_to_datetime(modified) - timedelta(seconds=1), usegmt=True)
    assert modified == "Fri, 02 Jan 2026 03:04:05 GMT"
    for given in (
        {"If_None_Match": etag},
        {"If_None_Match": f'"0", W/{etag}'},
        {"If_None_Match": "*"},
    ):
        await send(client, "GET", ITEM, status=304, **given)
    await send(client, "GET", ITEM, status=304, If_Modified_Since=modified)
    await send(client, "GET", ITEM, status=200, If_Modified_Since=earlier)
    await send(client, "GET", ITEM, status=200, If_Modified_Since="never")
    await send(
        client, "GET", ITEM, status=200, If_None_Match='"0"', If_Modified_Since=modified
    )  # the tag counts
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


EDITOR, STRANGER = "https://editor.example", "https://evil.example"
WRITES = {
    "POST": ("/collections/notes/items", {**feature(point(), text="new"), "id": "18"}),
    "PUT": (f"/collections/{ITEM}", feature(point(), text="x")),
    "PATCH": (f"/collections/{ITEM}", {"properties": {"text": "x"}}),
    "DELETE": (f"/collections/{ITEM}", None),
}


@pytest.fixture
async def open_to_editor(service: Service, url: str) -> Client:
    """Pages of every origin may read, those of one may write."""
    return await service(url, writable="*", cors_origins=f"*, {EDITOR}")


@pytest.mark.parametrize("method", WRITES)
async def test_pages_write_only_from_origins_that_are_named(
    open_to_editor: Client, method: str
) -> None:
    path, body = WRITES[method]
    kind = {"Content-Type": MERGE_PATCH if method == "PATCH" else "application/geo+json"}
    wanted = "if-match, content-type, prefer, idempotency-key"
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": wanted}
    data = None if body is None else json.dumps(body)
    for origin in (STRANGER, "null", "https://editor.example:444", "http://editor.example"):
        async with open_to_editor.options(path, headers={**asked, "Origin": origin}) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Methods" not in response.headers
        async with open_to_editor.request(
            method, path, data=data, headers={**kind, "Origin": origin}
        ) as response:
            assert (response.status, (await response.json())["type"]) == (
                403,
                "urn:geosvc:problem:forbidden",
            )
            assert response.headers["Access-Control-Allow-Origin"] == "*"  # it may read why
    async with open_to_editor.request(
        method, path, data=data, headers={**kind, "Sec-Fetch-Site": "cross-site"}
    ) as response:
        assert response.status == 403
    async with open_to_editor.options(path, headers={**asked, "Origin": EDITOR}) as response:
        assert response.status == 204
        assert method in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == wanted
        assert "Allow" not in response.headers
    async with open_to_editor.request(
        method, path, data=data, headers={**kind, "Origin": EDITOR}
    ) as response:
        assert response.status in (201, 204)


TAKEN = (201, 204, 404, 409)  # the second time it is there, or gone


async def written_by(client: Client, method: str, **headers: str) -> int:
    """The status of a write that a browser sends without asking beforehand what may be sent."""
    path, body = WRITES[method]
    kind = {"Content-Type": MERGE_PATCH if method == "PATCH" else "application/geo+json"}
    data = None if body is None else json.dumps(body)
    async with client.request(
        method, path, data=data, headers=kind | {"Sec-Fetch-Site": "same-origin"} | headers
    ) as response:
        return response.status


@pytest.mark.parametrize("method", WRITES)
async def test_own_pages_write_without_being_named(service: Service, url: str, method: str) -> None:
    client = await service(url, writable="*")
    assert await written_by(client, method, Origin=f"http://{client.host}:{client.port}") in (
        201,
        204,
    )


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("public_url", ["https://maps.example/geo", "https://Maps.example:443"])
async def test_own_pages_are_those_of_the_public_url_whatever_a_page_calls_the_service(
    service: Service, url: str, method: str, public_url: str
) -> None:
    client = await service(url, writable="*", public_url=public_url)
    rebound = {"Origin": "http://evil.example:8080", "Host": "evil.example:8080"}
    assert await written_by(client, method, **rebound) == 403
    assert await written_by(client, method, Origin=f"http://{client.host}:{client.port}") == 403
    simple = {**rebound, "Content-Type": "text/plain"}  # what a form may send
    assert await written_by(client, method, **simple) == 403
    for host in ("maps.example", "10.0.0.7:8080"):  # a proxy keeps it, or not
        assert await written_by(client, method, Origin="https://maps.example", Host=host) in TAKEN
    client = await service(
        url, writable="*", public_url=public_url, cors_origins="http://evil.example:8080"
    )
    assert await written_by(client, method, **rebound) in TAKEN


async def test_pages_of_every_origin_may_search(open_to_editor: Client) -> None:
    path = "/collections/notes/search"
    asked = {
        "Origin": STRANGER,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    async with open_to_editor.options(path, headers=asked) as response:
        assert response.status == 204
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
    headers = {"Origin": STRANGER, "Content-Type": "application/geo+json"}
    async with open_to_editor.post(
        path, data=json.dumps({"geometry": point()}), headers=headers
    ) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_options_without_a_preflight_is_the_resources_own(client: Client) -> None:
    headers, _ = await send(client, "OPTIONS", "notes/items", Origin="https://example.org")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in headers["Allow"]
    exposed = headers["Access-Control-Expose-Headers"]
    for name in (
        "ETag",
        "Location",
        "Allow",
        "Accept-Patch",
        "Preference-Applied",
        "Content-Crs",
        "Last-Modified",
    ):
        assert name in exposed
    await send(client, "OPTIONS", "nothing/items", status=404)


async def test_a_browser_may_read_why_a_write_was_refused(client: Client) -> None:
    base = f"http://{client.host}:{client.port}"
    headers, _ = await send(client, "PATCH", ITEM, {"id": 1}, 422, kind=MERGE_PATCH, Origin=base)
    assert headers["Access-Control-Allow-Origin"] == "*"


async def test_answers_to_writes_say_that_they_vary(client: Client) -> None:
    headers, _ = await send(
        client, "PATCH", ITEM, {"properties": {"text": "x"}}, 204, kind=MERGE_PATCH
    )
    assert "Prefer" in ", ".join(headers.getall("Vary"))
