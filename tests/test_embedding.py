"""geosvc mounted under a prefix of another application."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from aiohttp import web

from geosvc.embedding import Route, build_app, runner_arguments
from geosvc.http.keys import CHANGE_READER, DATABASE, METRICS
from tests.conftest import Client, ClientOf, settings_for
from tests.live import CHANGES, connected

PREFIX = "/geo"
ROOT = Path(__file__).parent.parent


async def _get_own_page(request: web.Request) -> web.Response:
    return web.Response(text="the application's own page")


async def _get_greeting(request: web.Request) -> web.Response:
    return web.json_response({"greeting": request.match_info["name"]})


@pytest.fixture
def service_app(live_url: str) -> web.Application:
    """The service, with a resource of the application that mounts it."""
    greeting = Route("GET", "/greeting/{name}", _get_greeting, "getGreeting")
    return build_app(settings_for(live_url, writable="places"), routes=(greeting,))


@pytest.fixture
async def mounted(service_app: web.Application, live_url: str, client_of: ClientOf) -> Client:
    """An application with the service under /geo."""
    outer = web.Application()
    outer.router.add_get("/", _get_own_page)
    outer.add_subapp(f"{PREFIX}/", service_app)
    client = await client_of(outer, **runner_arguments(settings_for(live_url)))
    assert await service_app[CHANGE_READER].ready(10)
    return client


class _Hrefs(HTMLParser):
    """Collects what a page links to and loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.found.append(value)


def _hrefs_in(document: Any) -> list[str]:
    if isinstance(document, dict):
        own = [document["href"]] if isinstance(document.get("href"), str) else []
        return own + [href for value in document.values() for href in _hrefs_in(value)]
    if isinstance(document, list):
        return [href for value in document for href in _hrefs_in(value)]
    return []


async def _follow_all(client: Client, accept: str) -> set[str]:
    """Follows every link from the landing page on; returns the paths that were read."""
    origin = str(client.make_url("/")).rstrip("/")
    waiting, seen = [f"{origin}{PREFIX}/"], set[str]()
    while waiting:
        url = waiting.pop().partition("#")[0]
        path = urlsplit(url).path
        if path in seen or not url.startswith(origin) or path.endswith("/changes"):
            continue
        seen.add(path)
        async with client.get(url.removeprefix(origin), headers={"Accept": accept}) as response:
            text = await response.text()
            assert response.status == 200, (url, text)
            kind = response.content_type
        if kind == "text/html":
            parser = _Hrefs()
            parser.feed(text)
            waiting += [urljoin(url, href) for href in parser.found]
        elif kind.endswith("json"):
            waiting += [urljoin(url, href) for href in _hrefs_in(json.loads(text))]
    return seen


@pytest.mark.parametrize("accept", ["application/json, */*;q=0.5", "text/html, */*;q=0.5"])
async def test_every_link_from_the_landing_page_on_stays_below_the_prefix(
    mounted: Client, accept: str
) -> None:
    seen = await _follow_all(mounted, accept)
    assert all(path.startswith(f"{PREFIX}/") for path in seen), seen
    wanted = {"collections/places", "collections/places/items", "collections/places/items/1"}
    assert {f"{PREFIX}/{path}" for path in wanted} <= seen
    if accept.startswith("text/html"):
        assert any(re.fullmatch(PREFIX + r"/static/[^/]+/geosvc\.css", path) for path in seen)


async def test_the_application_keeps_its_own_paths(mounted: Client) -> None:
    async with mounted.get("/") as response:
        assert await response.text() == "the application's own page"
    async with mounted.get("/collections") as response:
        assert response.status == 404
    async with mounted.get(f"{PREFIX}/nothing") as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"


async def test_a_resource_that_is_added_goes_through_the_middleware(mounted: Client) -> None:
    headers = {"Origin": "https://maps.example.org"}
    async with mounted.get(f"{PREFIX}/greeting/you", headers=headers) as response:
        assert await response.json() == {"greeting": "you"}
        assert "X-Request-ID" in response.headers
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_feature_that_is_created_has_its_address_below_the_prefix(mounted: Client) -> None:
    feature = {
        "type": "Feature",
        "properties": {"name": "new"},
        "geometry": {"type": "Point", "coordinates": [1, 2]},
    }
    async with mounted.post(f"{PREFIX}/collections/places/items", json=feature) as response:
        assert response.status == 201, await response.text()
        location = urlsplit(response.headers["Location"]).path
    assert location.startswith(f"{PREFIX}/collections/places/items/")
    async with mounted.get(location) as response:
        assert (await response.json())["properties"]["name"] == "new"
    async with mounted.delete(location) as response:
        assert response.status == 204
    async with mounted.put(f"{PREFIX}/collections/plain/items/1", json=feature) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_a_subscriber_gets_changes_until_the_application_stops(
    mounted: Client, live_url: str
) -> None:
    async with mounted.get(f"{PREFIX}{CHANGES}") as response:
        await response.content.readuntil(b"\n\n")
        async with connected(live_url) as writer:
            await writer.execute("UPDATE places SET name = 'moved' WHERE id = 1")
        event = (await response.content.readuntil(b"\n\n")).decode()
        assert "event: update" in event
        assert '"moved"' in event
        await mounted.server.close()
        assert await response.content.read() == b""


async def test_requests_are_counted_by_their_operation(
    mounted: Client, service_app: web.Application
) -> None:
    async with mounted.get(f"{PREFIX}/collections/places/items/1") as response:
        assert response.status == 200
    counted = json.dumps(service_app[METRICS].snapshot(), default=str)
    assert "getFeature" in counted


async def test_a_stop_of_the_application_closes_the_pools(
    mounted: Client, service_app: web.Application
) -> None:
    assert service_app[DATABASE].size
    await mounted.server.close()
    assert not service_app[DATABASE].size


async def test_the_example_of_the_docs_builds(
    live_url: str, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "embedding.md").read_text("utf-8")
    example = page.partition("```python\n")[2].partition("```")[0]
    example = example.replace("postgresql://reader@db.example.org/gis", live_url)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, "docs/embedding.md", "exec"), names)
    client = await client_of(names["application"], **runner_arguments(names["settings"]))
    async with client.get("/geo/greeting") as response:
        assert await response.json() == {"greeting": "hello"}
    async with client.get("/geo/collections/places/items?limit=1") as response:
        assert (await response.json())["numberReturned"] == 1
