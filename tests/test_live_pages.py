"""What pages and documents of published tables have that those of others have not: the link to the
changes, from where on a page follows them, and the snippets.
"""

import asyncio
import json
import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from yarl import URL

from geosvc.encode.snippets import write_snippets
from geosvc.http.keys import CATALOG, CHANGE_READER
from geosvc.model.principal import ANONYMOUS
from tests.conftest import Client, Service, execute
from tests.events import parse_events
from tests.http import fetch
from tests.live import CHANGES
from tests.test_pages import check_page, get_page

ITEMS = "/collections/places/items"


@pytest.fixture
async def live(service: Service, live_url: str) -> Client:
    """The service of the published table, once it follows the log."""
    client = await service(live_url, feed_heartbeat_seconds=0.2)
    assert await app_of(client)[CHANGE_READER].ready(10)
    return client


def app_of(client: Client) -> web.Application:
    """The service itself."""
    assert isinstance(client.app, web.Application)
    return client.app


def path_of(href: str, **more: str) -> URL:
    """An address without the host."""
    return URL(href, encoded=True).update_query(more).relative()


def followed(text: str) -> tuple[str, str] | None:
    """The stream that a page follows, and after which event; None for a page that does not."""
    found = re.search(r'data-live="([^"]*)" data-after="([^"]*)"', text)
    return (unescape(found[1]), unescape(found[2])) if found else None


async def test_only_published_collections_link_to_their_changes(live: Client) -> None:
    for document in (await fetch(live, "/collections"))["collections"]:
        found = [each for each in document["links"] if each["rel"] == "hub"]
        assert len(found) == (document["id"] == "places")
        alone = await fetch(live, f"/collections/{document['id']}")
        assert [each for each in alone["links"] if each["rel"] == "hub"] == found
        for link in found:
            assert (link["type"], urlsplit(link["href"]).path) == ("text/event-stream", CHANGES)
            async with live.get(path_of(link["href"])) as response:
                assert response.content_type == link["type"]


async def test_a_page_follows_the_changes_of_what_it_shows(live: Client) -> None:
    query = "?bbox=0,0,6,6&filter=population>2&name=place+4&properties=name&sortby=name&limit=3&count=none&skipGeometry=false"
    page = await get_page(live, ITEMS + query)
    check_page(page)
    found = followed(page)
    assert found is not None
    href, after = found
    assert parse_qs(urlsplit(href).query) == {
        "bbox": ["0,0,6,6"],
        "filter": ["population>2"],
        "name": ["place 4"],
        "properties": ["name"],
        "bigint": ["string"],
    }
    address = live.make_url(ITEMS).join(URL(href, encoded=True))
    async with live.get(path_of(str(address), **{"last-event-id": after})) as response:
        assert response.status == 200
    assert followed(await get_page(live, "/collections/plain/items")) is None
    assert followed(await get_page(live, ITEMS + "?bbox=1", status=400)) is None


@pytest.mark.parametrize("path", [ITEMS, f"{ITEMS}?cursor=x", f"{ITEMS}/4"])
async def test_the_stream_of_a_page_begins_before_its_query(
    live: Client, live_url: str, path: str
) -> None:
    if "cursor" in path:
        links = (await fetch(live, f"{ITEMS}?limit=2&f=json"))["links"]
        path = next(each["href"] for each in links if each["rel"] == "next").replace(
            "f=json", "f=html"
        )
        path = urlsplit(path)._replace(scheme="", netloc="").geturl()
    found = followed(await get_page(live, path))
    assert found is not None
    await asyncio.to_thread(execute, live_url, "UPDATE places SET name = 'after' WHERE id = 4")
    address = path_of(
        str(live.make_url(path).join(URL(found[0], encoded=True))), **{"last-event-id": found[1]}
    )
    assert address.path == CHANGES
    async with live.get(address) as response:
        body = b""
        while b"event:" not in body or not body.endswith(b"\n\n"):
            body += await response.content.readany()
    (event,) = [each for each in parse_events(body) if each.name]
    assert (event.name, event.content["id"], event.content["properties"]["name"]) == (
        "update",
        "4",
        "after",
    )


async def test_the_snippets_for_live_changes_do_what_they_say(live: Client, live_url: str) -> None:
    catalog = app_of(live)[CATALOG]
    base = str(live.make_url("/")).rstrip("/")
    snippets = {
        str(each.id): {snippet.client: snippet.code for snippet in write_snippets(base, each)}
        for each in catalog.collections_for(ANONYMOUS)
    }
    assert not {"curl, live", "EventSource"} & snippets["plain"].keys()
    assert f"new EventSource('{base}{CHANGES}')" in snippets["places"]["EventSource"]
    curl = await asyncio.create_subprocess_shell(
        snippets["places"]["curl, live"] + " -sS", stdout=asyncio.subprocess.PIPE
    )
    assert curl.stdout is not None
    try:
        async with asyncio.timeout(10):
            assert (await curl.stdout.readline()).startswith(b"retry:")
            await asyncio.to_thread(execute, live_url, "DELETE FROM places WHERE id = 4")
            while not (line := await curl.stdout.readline()).startswith(b"data:"):
                pass
        assert json.loads(line[5:])["id"] == 4
    finally:
        curl.kill()
        await curl.wait()
