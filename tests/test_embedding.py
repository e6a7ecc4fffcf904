"""geosvc mounted under a prefix of another application."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from aiohttp import web

from geosvc.embedding import (
    SQL,
    Extension,
    FilterFunction,
    Route,
    ValueKind,
    build_app,
    runner_arguments,
)
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
    extension = Extension(routes=(greeting,))
    return build_app(settings_for(live_url, writable="places"), extensions=(extension,))


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
        if document.get("templated"):
            own = [re.sub(r"\{\w+\}", "0", href) for href in own]
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
        if url in seen or not url.startswith(origin) or path.endswith("/changes"):
            continue
        seen.add(url)
        async with client.get(url.removeprefix(origin), headers={"Accept": accept}) as response:
            text = await response.text("latin-1")  # a tile is no text
            assert response.status in (200, 204), (url, text)
            kind = response.content_type
        if kind == "text/html":
            parser = _Hrefs()
            parser.feed(await response.text())
            waiting += [urljoin(url, href) for href in parser.found]
        elif kind.endswith("json"):
            waiting += [
                urljoin(url, href) for href in _hrefs_in(await response.json(content_type=None))
            ]
    return {urlsplit(url).path for url in seen}


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


def _examples(live_url: str) -> list[dict[str, Any]]:
    """The names that each example of the page defines."""
    page = (ROOT / "docs" / "embedding.md").read_text("utf-8")
    examples = []
    for part in page.split("```python\n")[1:]:
        code = part.partition("```")[0]
        code = code.replace("postgresql://reader@db.example.org/gis", live_url)
        names: dict[str, Any] = {"__name__": "example"}
        exec(compile(code, "docs/embedding.md", "exec"), names)
        examples.append(names)
    return examples


@pytest.fixture
async def extended(live_url: str, client_of: ClientOf) -> Client:
    """The application of the example with an extension."""
    _, names = _examples(live_url)
    return await client_of(names["application"], **runner_arguments(names["settings"]))


PLACES = f"{PREFIX}/collections/places"
JSON_FILTER = {"op": "=", "args": [{"op": "initial", "args": [{"property": "name"}]}, "P"]}
WKT_LINE = re.compile(r"POINT\((\d) \1\)\n")


async def _text_of(client: Client, path: str, content_type: str, **options: Any) -> str:
    async with client.get(path, **options) as response:
        text = await response.text()
        assert response.status == 200, text
        assert response.content_type == content_type
    return text


async def _document_of(client: Client, path: str, **options: Any) -> Any:
    async with client.get(path, **options) as response:
        assert response.status == 200, await response.text()
        return await response.json(content_type=None)


async def test_the_first_example_of_the_docs_serves_its_features(
    live_url: str, client_of: ClientOf
) -> None:
    names, _ = _examples(live_url)
    client = await client_of(names["application"], **runner_arguments(names["settings"]))
    page = await _document_of(client, f"{PLACES}/items?limit=1")
    assert page["numberReturned"] == 1


async def test_a_route_of_an_extension_answers_and_is_described(extended: Client) -> None:
    assert await _document_of(extended, f"{PREFIX}/greeting") == {"greeting": "hello"}
    api = await _document_of(extended, f"{PREFIX}/api")
    described = api["paths"]["/greeting"]["get"]
    assert described["operationId"] == "getGreeting"
    assert described["responses"].keys() == {"200", "500"}
    text = await _text_of(extended, f"{PREFIX}/api.html", "text/html")
    assert "<code>/greeting</code>" in text


@pytest.mark.parametrize(
    "parameters",
    [
        {"filter": "initial(name) = 'P'"},
        {"filter": "INITIAL(CASEI(name)) = initial('pond') AND population < 100"},
        {"filter": json.dumps(JSON_FILTER), "filter-lang": "cql2-json"},
    ],
)
async def test_a_filter_calls_a_function_of_an_extension(
    extended: Client, parameters: dict[str, str]
) -> None:
    page = await _document_of(extended, f"{PLACES}/items", params=parameters)
    assert page["numberMatched"] == 9
    none = {"filter": "initial(name) = 'X'"}
    assert (await _document_of(extended, f"{PLACES}/items", params=none))["numberMatched"] == 0
    body = {"filter": JSON_FILTER}
    async with extended.post(f"{PLACES}/search", json=body) as response:
        assert (await response.json())["numberMatched"] == 9


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("initial(population) = 'P'", "a text was expected, not a number"),
        ("initial(name) = 5", "a text"),
        ("initial(name, name) = 'P'", "initial takes 1 arguments, not 2"),
        ("inital(name) = 'P'", "did you mean initial?"),
    ],
)
async def test_the_function_of_an_extension_is_checked_and_suggested(
    extended: Client, text: str, detail: str
) -> None:
    async with extended.get(f"{PLACES}/items", params={"filter": text}) as response:
        assert response.status == 400
        assert detail in (await response.json(content_type=None))["detail"]


async def test_the_function_of_an_extension_is_listed_with_the_others(extended: Client) -> None:
    functions = (await _document_of(extended, f"{PREFIX}/functions"))["functions"]
    by_name = {function["name"]: function for function in functions}
    assert by_name["initial"]["arguments"] == [{"title": "a text", "type": ["string"]}]
    assert by_name["initial"]["returns"] == by_name["lower"]["returns"]
    api = await _document_of(extended, f"{PREFIX}/api")
    schema = api["components"]["schemas"]["functions"]["properties"]["functions"]["items"]
    assert schema["properties"]["name"]["enum"] == list(by_name)
    assert "initial" in await _text_of(extended, f"{PREFIX}/functions?f=html", "text/html")


async def test_features_come_in_the_media_type_of_an_extension(extended: Client) -> None:
    every = await _text_of(extended, f"{PLACES}/export?f=wkt", "text/x-wkt")
    assert len(WKT_LINE.findall(every)) == every.count("\n") == 9
    page = await _text_of(extended, f"{PLACES}/items?f=wkt&limit=2", "text/x-wkt")
    assert page == "POINT(1 1)\nPOINT(2 2)\n"
    accepted = {"Accept": "text/x-wkt"}
    one = await _text_of(extended, f"{PLACES}/items/3", "text/x-wkt", headers=accepted)
    assert one == "POINT(3 3)\n"
    body = {"geometry": {"type": "Point", "coordinates": [4, 4]}}
    async with extended.post(f"{PLACES}/search?f=wkt", json=body) as response:
        assert await response.text() == "POINT(4 4)\n"


async def test_representations_of_a_feature_have_etags_of_their_own(extended: Client) -> None:
    tags = {}
    for f in ("geojson", "wkt"):
        async with extended.get(f"{PLACES}/items/3?f={f}") as response:
            tags[f] = response.headers["ETag"]
        headers = {"If-None-Match": tags[f]}
        async with extended.get(f"{PLACES}/items/3?f={f}", headers=headers) as response:
            assert response.status == 304
    assert len(set(tags.values())) == 2
    headers = {"If-None-Match": tags["geojson"], "Accept": "text/x-wkt"}
    assert await _text_of(extended, f"{PLACES}/items/3", "text/x-wkt", headers=headers)


async def test_the_media_type_of_an_extension_is_linked_and_described(extended: Client) -> None:
    for path, rel in ((PLACES, "items"), (f"{PLACES}/items", "alternate")):
        links = (await _document_of(extended, f"{path}?f=json"))["links"]
        assert "text/x-wkt" in [link["type"] for link in links if link["rel"] == rel]
    item = await _document_of(extended, f"{PLACES}/items/3")
    assert "text/x-wkt" in [link["type"] for link in item["links"]]
    api = await _document_of(extended, f"{PREFIX}/api")
    for name in ("f", "f-export", "f-item"):
        assert "wkt" in api["components"]["parameters"][name]["schema"]["enum"]
    for name in ("Features", "Found", "Feature", "Export"):
        assert "text/x-wkt" in api["components"]["responses"][name]["content"]
    page = await _text_of(extended, f"{PLACES}/items?f=html", "text/html")
    assert re.search(r'href="export\?f=wkt">WKT<', page)
    for path in (f"{PLACES}/items", f"{PLACES}/items/3"):
        async with extended.get(f"{path}?f=none") as response:
            assert "wkt" in (await response.json(content_type=None))["detail"]


async def test_services_in_one_process_do_not_see_the_extensions_of_each_other(
    live_url: str, client_of: ClientOf
) -> None:
    settings = settings_for(live_url)
    outer = web.Application()
    for prefix, template in (("/first/", SQL("left({}, 1)")), ("/second/", SQL("right({}, 1)"))):
        function = FilterFunction("edge", "An end.", (ValueKind.TEXT,), ValueKind.TEXT, template)
        service = build_app(settings, extensions=(Extension(functions=(function,)),))
        outer.add_subapp(prefix, service)
    outer.add_subapp("/plain/", build_app(settings))
    client = await client_of(outer, **runner_arguments(settings))
    matched, details = {}, {}
    for prefix in ("/first", "/second", "/plain"):
        path = f"{prefix}/collections/places/items"
        async with client.get(path, params={"filter": "edge(name) = 'p'"}) as response:
            page = await response.json(content_type=None)
            matched[prefix], details[prefix] = page.get("numberMatched"), page.get("detail")
        functions = (await _document_of(client, f"{prefix}/functions"))["functions"]
        names = [function["name"] for function in functions]
        assert ("edge" in names) is (prefix != "/plain")
        api = await _document_of(client, f"{prefix}/api")
        assert ('"edge"' in json.dumps(api)) is (prefix != "/plain")
    assert matched == {"/first": 9, "/second": 0, "/plain": None}
    assert "no function 'edge'" in details["/plain"]
