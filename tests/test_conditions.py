"""Every route that has a validator decides conditional GET and HEAD as RFC 9110 13.2.2 says, in
every content coding; and every route says how long its answers hold.
"""

from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from aiohttp import ClientResponse, ClientSession, web
from yarl import URL

from geosvc.http.keys import ASSETS
from geosvc.routes import ADMIN_ROUTES, PAGE_ROUTES, ROUTES, Route
from tests.conftest import Client, Service
from tests.live import connected
from tests.processes import Running

HTML = {"Accept": "text/html"}
READ = [route for route in (*ROUTES, *PAGE_ROUTES) if route.method == "GET"]
UNVERSIONED = {"getChanges", "exportFeatures"}
TILES = {
    f"{of}.vector.{name}"
    for of in ("collection", "dataset")
    for name in ("getTile", "getTileByXyz")
}
STYLES = {route.operation_id for route in READ if route.path.endswith("/style")}
WITHOUT_PAGE = {"getApi", "getApiPage", "getAsset", *TILES, *STYLES}
OTHER = '"other"'
CODINGS = ("identity", "gzip", "zstd", "deflate")


@pytest.fixture
async def client(service: Service, live_url: str) -> Client:
    """A published table whose features tell when they were changed, and are large enough to be
    compressed.
    """
    async with connected(live_url) as writer:
        await writer.execute(
            "UPDATE places SET made = '2026-01-02 03:04:05Z', name = repeat('long ', 500)"
        )
    return await service(live_url, collections={"places": {"modified": "made"}})


def path_of(client: Client, route: Route) -> str:
    """An address that the route answers."""
    app = client.app
    assert isinstance(app, web.Application)
    names = {
        "collectionId": "places",
        "featureId": "1",
        "version": app[ASSETS].version,
        "name": "geosvc.css",
        "pid": "1",
        "tileMatrixSetId": "WebMercatorQuad",
        **dict.fromkeys(("tileMatrix", "tileRow", "tileCol", "z", "x", "y"), "0"),
    }
    return route.path.format(**names)


async def ask(client: Client, path: str, method: str = "GET", **headers: str) -> ClientResponse:
    """An answer, read to its end."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.request(method, path, headers=given, allow_redirects=False) as answer:
        if answer.content_type != "text/event-stream":
            await answer.read()
        return answer


def cases(client: Client) -> list[tuple[str, dict[str, str]]]:
    """Every address with a validator, as programs and as people ask for it."""
    versioned = [route for route in READ if route.operation_id not in UNVERSIONED]
    found: list[tuple[str, dict[str, str]]] = [(path_of(client, route), {}) for route in versioned]
    found += [
        (path_of(client, route), HTML)
        for route in versioned
        if route.operation_id not in WITHOUT_PAGE
    ]
    return [
        *found,
        ("/collections/places/items?f=csv", {}),
        ("/collections/places/items?f=geojsonseq&limit=3", {}),
    ]


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_condition_on_the_tag_is_decided_on_every_route(
    client: Client, coding: str
) -> None:
    for path, kind in cases(client):
        form = {**kind, "Accept_Encoding": coding}
        whole = await ask(client, path, **form)
        etag = whole.headers["ETag"]
        weak = etag.startswith("W/")
        opaque = etag.removeprefix("W/")
        known = (
            {"If_None_Match": each}
            for each in (etag, opaque, f"W/{opaque}", f"{OTHER}, {etag}", "*")
        )
        strong = 412 if weak else 200
        expected = [
            *((each, 304) for each in known),
            ({"If_None_Match": OTHER}, 200),
            ({"If_Match": OTHER}, 412),
            ({"If_Match": f"W/{opaque}"}, 412),
            ({"If_Match": opaque}, strong),
            ({"If_Match": f"{OTHER}, {opaque}"}, strong),
            ({"If_Match": "*"}, 200),
            ({"If_Match": OTHER, "If_None_Match": etag}, 412),
            ({"If_Match": "*", "If_None_Match": etag}, 304),
            ({"If_None_Match": OTHER, "If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200),
            ({"If_Match": "*", "If_Unmodified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200),
        ]
        for method in ("GET", "HEAD"):
            for conditions, status in expected:
                answer = await ask(client, path, method, **form, **conditions)
                assert answer.status == status, (path, method, form, conditions)
                assert "Accept-Encoding" in ",".join(answer.headers.getall("Vary"))
                assert ("ETag" in answer.headers) == (status != 412)
                if status != 412:
                    assert answer.headers["ETag"] == etag, (path, method, form, conditions)
                    assert answer.headers["Cache-Control"] == whole.headers["Cache-Control"]


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_condition_on_the_time_is_decided_where_the_time_is_known(
    client: Client, coding: str
) -> None:
    path = "/collections/places/items/1"
    whole = await ask(client, path, Accept_Encoding=coding)
    modified = whole.headers["Last-Modified"]
    earlier = format_datetime(parsedate_to_datetime(modified) - timedelta(seconds=1), usegmt=True)
    for conditions, status in (
        ({"If_Modified_Since": modified}, 304),
        ({"If_Modified_Since": earlier}, 200),
        ({"If_Modified_Since": "never"}, 200),
        ({"If_Unmodified_Since": modified}, 200),
        ({"If_Unmodified_Since": earlier}, 412),
        ({"If_Unmodified_Since": "never"}, 200),
        ({"If_Unmodified_Since": earlier, "If_Modified_Since": modified}, 412),
        ({"If_Unmodified_Since": earlier, "If_None_Match": "*"}, 412),
        ({"If_Unmodified_Since": modified, "If_None_Match": whole.headers["ETag"]}, 304),
        ({"If_Match": whole.headers["ETag"], "If_Modified_Since": modified}, 304),
    ):
        for method in ("GET", "HEAD"):
            answer = await ask(client, path, method, Accept_Encoding=coding, **conditions)
            assert answer.status == status, (method, conditions)
            if status == 304:
                for name in ("ETag", "Last-Modified", "Content-Crs", "Cache-Control"):
                    assert answer.headers[name] == whole.headers[name]


async def test_what_has_no_validator_is_not_what_if_match_asks_for(client: Client) -> None:
    for path in ("/collections/plain/items", "/collections/plain/export"):
        assert (await ask(client, path, If_Match=OTHER)).status == 412
        for conditions in ({"If_Match": "*"}, {"If_None_Match": OTHER}, {"If_None_Match": "*"}):
            assert (await ask(client, path, **conditions)).status == 200


async def test_conditions_do_not_hide_what_fails(client: Client) -> None:
    for path, status in (
        ("/collections/places/items/99", 404),
        ("/collections/nosuch", 404),
        ("/?no=1", 400),
    ):
        for conditions in ({"If_Match": OTHER}, {"If_None_Match": "*"}):
            assert (await ask(client, path, **conditions)).status == status


@pytest.mark.parametrize("form", [{}, HTML], ids=["programs", "people"])
async def test_every_route_says_how_long_its_answer_holds(
    client: Client, form: dict[str, str]
) -> None:
    for route in (*ROUTES, *PAGE_ROUTES):
        path = path_of(client, route)
        methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
        for method in methods:
            if (route.operation_id, method) == ("getChanges", "GET"):
                continue  # it does not end; HEAD has the same headers
            answer = await ask(client, path, method, **form)
            held = answer.headers["Cache-Control"]
            if answer.status == 200 and method in ("GET", "HEAD"):
                expected = {
                    "getAsset": "public, max-age=31536000, immutable",
                    "getChanges": "no-store",
                }
                assert held == expected.get(route.operation_id, "no-cache"), (path, method)
            else:
                assert held in ("no-store", "no-cache"), (path, method)
        for wrong in (f"{path}?no=such", f"{path.rstrip('/')}/no/such/path"):
            answer = await ask(client, wrong, "GET", **form)
            if answer.status >= 400:
                assert answer.headers["Cache-Control"] == "no-store", wrong
        answer = await ask(client, path, "TRACE", **form)
        assert (answer.status, answer.headers["Cache-Control"]) == (405, "no-store")
        assert "GET" in answer.headers["Allow"] or route.method == "POST"


async def test_every_route_for_operators_is_kept_by_nobody(sample_process: Running) -> None:
    async with ClientSession() as session:
        for route in ADMIN_ROUTES:
            url = URL(sample_process.admin_url).join(URL(route.path.format(pid=1)))
            async with session.request(route.method, url) as answer:
                assert answer.headers["Cache-Control"] == "no-store", route.path
            async with session.get(URL(sample_process.admin_url).join(URL("/nosuch"))) as answer:
                assert (answer.status, answer.headers["Cache-Control"]) == (404, "no-store")


@pytest.mark.parametrize(
    ("name", "plain"),
    [("spots", "spots"), ('a "b" ü; x', "a _b_ __ x"), ("日本", "__"), ("a\\b%41", "a_b_41")],
)
async def test_a_download_has_its_name_for_old_and_new_clients(
    service: Service, live_url: str, name: str, plain: str
) -> None:
    """RFC 6266 4.3: what is not ASCII is in `filename*`, and `filename` is for those who do not
    know it.
    """
    async with connected(live_url) as writer:
        await writer.execute('ALTER TABLE places RENAME TO "{}"'.format(name.replace('"', '""')))
    client = await service(live_url)
    async with client.get(URL("/collections") / name / "export") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Disposition"].startswith(
            f'attachment; filename="{plain}.geojson"; filename*=UTF-8'
        )
        assert answer.content_disposition is not None
        assert answer.content_disposition.filename == f"{name}.geojson"
