"""Pages for people: legible HTML for every resource, that nothing in the database can break, under
a strict policy.
"""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit
from xml.etree.ElementTree import Element

import html5lib
import pytest
from aiohttp import web
from yarl import URL

from geosvc.assets import API_LIBRARY, FILES, MAP_LIBRARY, Assets
from geosvc.encode.snippets import write_snippets
from geosvc.handlers.items_html import MAX_ROWS
from geosvc.http.keys import ASSETS, CATALOG
from geosvc.model.principal import ANONYMOUS
from tests.conftest import Client, Service, execute
from tests.http import fetch
from tests.processes import Running

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PAGES = (
    "/",
    "/conformance",
    "/collections",
    "/collections/buildings",
    "/collections/countries/items",
    "/collections/countries/items?bbox=5,45,12,52&continent=Europe&limit=3",
    "/collections/cities/items?limit=200&sortby=-population&properties=name,alternate_names",
    "/collections/countries/items/FRA",
    "/collections/buildings/schema",
    "/collections/buildings/schema/feature",
    "/collections/buildings/queryables",
    "/collections/buildings/tiles",
    "/collections/buildings/tiles/WebMercatorQuad",
    "/tiles",
    "/tiles/WebMercatorQuad?collections=cities,streets",
    "/tileMatrixSets",
    "/tileMatrixSets/WorldCRS84Quad",
    "/collections/buildings/sortables",
    "/functions",
    "/api.html",
)
DOCUMENTS = tuple(path for path in PAGES if path != "/api.html")


async def get_page(client: Client, path: str, status: int = 200) -> str:
    """The text of a page as a browser asks for it."""
    async with client.get(
        URL(path, encoded=True), headers={"Accept": BROWSER}, allow_redirects=False
    ) as response:
        text = await response.text()
        assert response.status == status, text
        assert response.content_type == "text/html"
        return text


def parse(text: str) -> Element:
    """The tree of a page; fails for anything that is not as HTML wants it."""
    root: Element = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    return root


def texts(element: Element | None) -> str:
    """All text of an element."""
    assert element is not None
    return " ".join("".join(element.itertext()).split())


# without a role these have none that can be named; Source: WAI-ARIA 1.2 5.2.8.6, ARIA in HTML 4
NAMELESS = frozenset(
    {
        "b",
        "bdi",
        "bdo",
        "code",
        "del",
        "div",
        "em",
        "i",
        "ins",
        "kbd",
        "p",
        "pre",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strong",
    }
    | {"sub", "sup", "time", "u", "var", "dt", "dd", "caption", "figcaption", "legend", "label"}
)


def check_names(root: Element) -> None:
    """Names stand only where they are read: not on elements without a role, and no two landmarks
    have the same.
    """
    regions = []
    for element in root.iter():
        name, role = element.get("aria-label"), element.get("role")
        assert name is None or role is not None or element.tag not in NAMELESS, (
            element.tag,
            element.attrib,
        )
        if name is not None and (role == "region" or element.tag in ("nav", "section")):
            regions.append(name)
    assert len(regions) == len(set(regions)), regions


def check_page(text: str) -> Element:
    """What every page keeps: one heading, a title, a language, names for all fields, nothing
    inline.
    """
    root = parse(text)
    assert root.get("lang") == "en"
    assert texts(root.find("head/title")).endswith("· geosvc")
    assert len(root.findall(".//h1")) == 1
    assert len(root.findall(".//main")) == 1
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    labelled = {each.get("for") for each in root.iter("label")}
    wrapped = {id(field) for each in root.iter("label") for field in each.iter("input")}
    for tag in ("input", "select", "textarea"):
        for field in root.iter(tag):
            named = field.get("aria-label") or field.get("id") in labelled or id(field) in wrapped
            assert named or field.get("type") == "hidden", field.attrib
    check_names(root)
    for button in root.iter("button"):
        assert texts(button) or button.get("aria-label")
    for element in root.iter():
        assert element.tag != "style"
        assert not (element.tag == "script" and texts(element))
        assert not any(name == "style" or name.startswith("on") for name in element.attrib), (
            element.attrib
        )
        for href in (element.get("href") or "", element.get("src") or ""):
            assert not href.lower().startswith(("javascript:", "data:")), href
    return root


def rows(root: Element) -> list[list[str]]:
    """The cells of the table of features."""
    table = next(each for each in root.iter("table") if "data-features-table" in each.attrib)
    return [[texts(cell) for cell in row] for row in table.findall("tbody/tr")]


@pytest.mark.parametrize("path", PAGES)
async def test_every_resource_is_a_page_without_faults(sample: Client, path: str) -> None:
    check_page(await get_page(sample, path))


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_programs_get_json_unless_they_ask_for_a_page(sample: Client, path: str) -> None:
    mark = "&" if "?" in path else "?"
    for accept in (None, "*/*", "application/json", "application/geo+json, */*;q=0.1"):
        async with sample.get(
            URL(path, encoded=True), headers={"Accept": accept} if accept else {}
        ) as response:
            assert response.content_type.endswith("json"), accept
            assert "Accept" in response.headers["Vary"]
    async with sample.get(URL(f"{path}{mark}f=html", encoded=True)) as response:
        assert response.content_type == "text/html"
        assert "Accept" in response.headers["Vary"]
    async with sample.get(
        URL(f"{path}{mark}f=json", encoded=True), headers={"Accept": BROWSER}
    ) as response:
        assert response.content_type.endswith("json")


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if "buildings/" not in path])
async def test_a_page_and_its_json_link_to_each_other(sample: Client, path: str) -> None:
    document = await fetch(sample, path)
    to_page = [
        link
        for link in document["links"]
        if link["rel"] == "alternate" and link["type"] == "text/html"
    ]
    assert len(to_page) == 1
    async with sample.get(URL(to_page[0]["href"], encoded=True).relative()) as response:
        assert response.content_type == "text/html"
        root = parse(await response.text())
    alternates = [each for each in root.findall("head/link") if each.get("rel") == "alternate"]
    assert alternates
    for each in alternates:
        href = urljoin(path, each.get("href") or "")
        async with sample.get(URL(href, encoded=True)) as response:
            assert response.status == 200, href
            assert response.content_type == (each.get("type") or "").partition(";")[0]


async def test_the_links_of_a_page_lead_somewhere(sample: Client) -> None:
    seen: set[str] = set()
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen or "cursor=" in path or "sortby=" in path or "/items/" in path:
            continue
        seen.add(path)
        async with sample.get(URL(path, encoded=True), headers={"Accept": BROWSER}) as response:
            assert response.status == 200, path
            body = await response.text() if response.content_type == "text/html" else ""
        if body:
            hrefs = [
                each.get("href") or "" for each in parse(body).iter() if each.tag in ("a", "link")
            ]
            waiting += [
                urljoin(path, href).partition("#")[0]
                for href in hrefs
                if not href.startswith("http")
            ]
    assert {"/collections/streets/items", "/conformance", "/api.html", "/api"} <= seen
    assert any(path.startswith("/static/") for path in seen)


async def test_an_empty_database_has_pages_as_well(
    service: Service, bare_database_url: str
) -> None:
    client = await service(bare_database_url)
    for path in ("/", "/collections", "/conformance", "/api.html"):
        check_page(await get_page(client, path))
        async with client.head(path, headers={"Accept": BROWSER}) as response:
            assert response.status == 200
            assert response.content_type == "text/html"
    assert "no collection yet" in await get_page(client, "/")


async def test_conformance_declares_html(sample: Client) -> None:
    classes = (await fetch(sample, "/conformance"))["conformsTo"]
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/html" in classes
    assert "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/html" in classes


async def test_a_page_may_load_nothing_from_elsewhere(sample: Client) -> None:
    async with sample.get("/collections/countries/items?f=html") as response:
        policy = dict(
            each.strip().partition(" ")[::2]
            for each in response.headers["Content-Security-Policy"].split(";")
        )
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"]
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["base-uri"] == "'none'"
    assert "unsafe" not in str(policy)


async def test_the_base_map_of_the_settings_may_be_loaded(
    service: Service, sample_url: str
) -> None:
    client = await service(
        sample_url,
        base_map="https://tiles.example.org:8443/{z}/{x}/{y}.png",
        base_map_attribution='© "Tiles" & Co',
        base_map_origins="https://fonts.example.org",
    )
    async with client.get("/collections/countries/items/FRA?f=html") as response:
        policy = response.headers["Content-Security-Policy"]
        root = check_page(await response.text())
    for directive in ("img-src", "connect-src"):
        sources = re.search(rf"{directive} ([^;]*)", policy)
        assert sources is not None
        assert {"https://tiles.example.org:8443", "https://fonts.example.org"} <= set(
            sources[1].split()
        )
    map_section = next(each for each in root.iter("section") if "data-map" in each.attrib)
    assert map_section.get("data-base-map-attribution") == '© "Tiles" & Co'


async def test_an_error_is_a_page_for_those_who_want_one(sample: Client) -> None:
    for path, status in (
        ("/nowhere/at/all", 404),
        ("/collections/nosuch", 404),
        ("/collections?x=1", 400),
    ):
        root = check_page(await get_page(sample, path, status))
        assert str(status) in texts(root.find(".//main"))
    async with sample.get("/collections/nosuch") as response:
        assert response.content_type == "application/problem+json"
    async with sample.get("/collections/nosuch?f=json", headers={"Accept": BROWSER}) as response:
        assert response.content_type == "application/problem+json"


async def test_what_is_wrong_with_a_query_stands_beside_the_form(sample: Client) -> None:
    for query, said in (
        ("bbox=5,45,12", "4 or 6 numbers"),
        ("pop_est=many", "whole number"),
        ("nosuch=1", "nosuch"),
        ("cursor=x", "cursor"),
    ):
        root = check_page(await get_page(sample, f"/collections/countries/items?{query}", 400))
        form = next(each for each in root.iter("details") if "data-query" in each.attrib)
        alert = next(each for each in form.iter() if each.get("role") == "alert")
        assert said in texts(alert)
    values = {each.get("id"): each.get("value") for each in root.iter("input")}
    root = check_page(await get_page(sample, "/collections/countries/items?bbox=5,45,12", 400))
    values = {each.get("id"): each.get("value") for each in root.iter("input")}
    assert (values["west"], values["south"], values["east"], values["north"]) == (
        "5",
        "45",
        "12",
        "",
    )


async def test_the_table_shows_the_features_of_the_query(sample: Client) -> None:
    root = check_page(
        await get_page(
            sample, "/collections/countries/items?bbox=5,45,12,52&properties=name&limit=50"
        )
    )
    assert {row[0] for row in rows(root)} == {
        "AUT",
        "BEL",
        "FRA",
        "DEU",
        "ITA",
        "LIE",
        "LUX",
        "NLD",
        "CHE",
    }
    assert ["DEU", "Germany"] in rows(root)
    assert "9 features of 9" in texts(root.find(".//main"))


async def test_pages_follow_each_other_by_the_same_cursors(sample: Client) -> None:
    path: str | None = "/collections/countries/items?limit=100&properties=name"
    seen: list[str] = []
    while path:
        root = check_page(await get_page(sample, path))
        seen += [row[0] for row in rows(root)]
        following = [each.get("href") or "" for each in root.iter("a") if each.get("rel") == "next"]
        path = urljoin(path, following[0]) if following else None
    assert len(seen) == len(set(seen)) == 241


async def test_a_page_for_people_has_an_end(sample: Client) -> None:
    root = check_page(
        await get_page(sample, "/collections/cities/items?limit=5000&properties=name")
    )
    assert len(rows(root)) == MAX_ROWS


async def test_the_form_leads_to_an_address_for_programs(sample: Client) -> None:
    corners = "form.west=5&form.south=45&form.east=12&form.north=52"
    condition = "form.property.0=name&form.operator.0=%3D&form.value.0=Germany"
    query = f"{corners}&datetime=&limit=20&sortby=&{condition}"
    async with sample.get(
        URL(f"/collections/countries/items?{query}", encoded=True),
        headers={"Accept": BROWSER},
        allow_redirects=False,
    ) as response:
        assert response.status == 303
        location = response.headers["Location"]
    assert location == "?bbox=5,45,12,52&limit=20&name=Germany"
    page = await fetch(sample, f"/collections/countries/items{location}")
    assert [each["id"] for each in page["features"]] == ["DEU"]


async def test_an_empty_form_leads_to_all_features(sample: Client) -> None:
    async with sample.get(
        "/collections/countries/items?form.west=&f=html", allow_redirects=False
    ) as response:
        assert (
            urljoin("/collections/countries/items", response.headers["Location"])
            == "/collections/countries/items?f=html"
        )
    async with sample.get(
        "/collections/countries/items?form.west=",
        headers={"Accept": BROWSER},
        allow_redirects=False,
    ) as response:
        assert (
            urljoin("/collections/countries/items?x", response.headers["Location"])
            == "/collections/countries/items"
        )


EVIL = """</script><script>alert(1)</script><img src=x onerror=alert(2)>'"&amp;{{ 7 * 7 }}"""


@pytest.fixture
def evil_url(bare_database_url: str) -> str:
    """A database whose names and values are markup."""
    quoted_name = EVIL.replace('"', '""')[:60]
    value = EVIL.replace("'", "''")
    execute(
        bare_database_url,
        f'CREATE TABLE "evil <b>&""\'" (id text PRIMARY KEY, "{quoted_name}" text, nested jsonb, link text, nothing text,'
        f' geom geometry(Point, 4326)); COMMENT ON TABLE "evil <b>&""\'" IS \'{value}\';'
        f"""INSERT INTO "evil <b>&""'" VALUES ('{value}', '{value}', jsonb_build_object('{value}', '{value}'),
        'https://example.org/"onmouseover="x', NULL, ST_Point(1, 2, 4326));""",
    )
    return bare_database_url


async def test_nothing_in_the_database_becomes_markup(service: Service, evil_url: str) -> None:
    client = await service(evil_url)
    name = "/collections/evil%20%3Cb%3E&%22'"
    for path in (
        "/",
        "/collections",
        name,
        f"{name}/items",
        f"{name}/items?nosuch=<script>",
        "/<script>alert(1)</script>",
    ):
        async with client.get(
            URL(path.replace("<", "%3C").replace(">", "%3E"), encoded=True),
            headers={"Accept": BROWSER},
        ) as response:
            text = await response.text()
        check_page(text)
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "49" not in re.sub(r"static/\w+|127\.0\.0\.1:\d+|[0-9a-f]{16,}", "", text)
    root = check_page(await get_page(client, f"{name}/items"))
    assert rows(root)[0][0] == EVIL
    assert rows(root)[0][-1] == "NULL"
    item = next(each.get("href") or "" for each in root.findall(".//tbody//th/a"))
    text = await get_page(client, urljoin(f"{name}/items", item))
    assert texts(check_page(text).find(".//h1")).endswith(EVIL)


async def test_every_nasty_table_has_its_pages(nasty: Client) -> None:
    for each in (await fetch(nasty, "/collections"))["collections"]:
        path = URL(
            next(link["href"] for link in each["links"] if link["rel"] == "self"), encoded=True
        ).raw_path
        for each_path in (
            path,
            f"{path}/schema",
            f"{path}/schema/feature",
            f"{path}/queryables",
            f"{path}/sortables",
        ):
            check_page(await get_page(nasty, each_path))
        async with nasty.get(URL(f"{path}/items?limit=50", encoded=True)) as response:
            status = response.status
        root = check_page(await get_page(nasty, f"{path}/items?limit=50", status))
        links = [link.get("href") or "" for link in root.findall(".//tbody//th/a")]
        for href in links[:2]:
            check_page(await get_page(nasty, urljoin(f"{path}/items", href)))


@pytest.fixture
def function_url(bare_database_url: str) -> str:
    """A database with a function that makes features."""
    execute(
        bare_database_url,
        "CREATE SCHEMA geosvc_functions; CREATE FUNCTION geosvc_functions.near(lon float8, lat"
        " float8)"
        " RETURNS TABLE (name text, geom geometry(Point, 4326)) LANGUAGE sql STABLE"
        " AS $$ SELECT 'here', ST_Point(lon, lat, 4326) $$",
    )
    return bare_database_url


async def test_a_function_asks_for_its_arguments(service: Service, function_url: str) -> None:
    client = await service(function_url)
    name = next(each["id"] for each in (await fetch(client, "/collections"))["collections"])
    root = check_page(await get_page(client, f"/collections/{name}/items", 400))
    assert {"lon", "lat"} <= {each.get("name") for each in root.iter("input")}
    root = check_page(await get_page(client, f"/collections/{name}/items?lon=24&lat=60"))
    assert rows(root) == [["1", "here"]]
    page = await get_page(client, f"/collections/{name}")
    assert "lon=VALUE&amp;lat=VALUE" in page
    assert "OAPIF" not in page


async def test_hrefs_hold_behind_a_proxy_with_a_path(service: Service, sample_url: str) -> None:
    client = await service(sample_url, public_url="https://maps.example.org/geo")
    for path in PAGES:
        root = check_page(await get_page(client, path))
        for element in root.iter():
            for href in (element.get("href"), element.get("src"), element.get("data-library")):
                if href and not href.startswith("http"):
                    found = urlsplit(urljoin(f"https://maps.example.org/geo{path}", href))
                    assert (found.netloc, found.path[:5]) == ("maps.example.org", "/geo/"), (
                        path,
                        href,
                    )
    assert "OAPIF:https://maps.example.org/geo/" in await get_page(client, "/collections/countries")


async def test_files_are_kept_for_ever_under_an_address_that_changes_with_them(
    sample: Client,
) -> None:
    app = sample.app
    assert isinstance(app, web.Application)
    assets = app[ASSETS]
    assert set(assets.files) == set(FILES)
    for name, asset in assets.files.items():
        async with sample.get(
            f"/static/{assets.version}/{name}", headers={"Accept-Encoding": "gzip"}
        ) as response:
            assert await response.read() == asset.body, name
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert response.headers["Content-Encoding"] == "gzip"
            tag = response.headers["ETag"]
        headers = {"If-None-Match": tag, "Accept-Encoding": "gzip"}
        async with sample.get(f"/static/{assets.version}/{name}", headers=headers) as response:
            assert response.status == 304
    async with sample.get("/static/0000000000000000/geosvc.css") as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "name",
    [
        "nosuch.js",
        "vendor/.stamp",
        "../about.py",
        "..%2fabout.py",
        "vendor/../../about.py",
        "%2e%2e/app.py",
    ],
)
async def test_no_other_file_is_served(sample: Client, name: str) -> None:
    async with sample.get(URL(f"/static/x/{name}", encoded=True)) as response:
        assert response.status == 404


async def test_without_the_libraries_pages_do_without_a_map_and_say_so(sample: Client) -> None:
    app = sample.app
    assert isinstance(app, web.Application)
    files = {
        name: asset for name, asset in app[ASSETS].files.items() if not name.startswith("vendor/")
    }
    app._state[ASSETS] = replace(app[ASSETS], files=files)
    assert not app[ASSETS].has_map
    for path in PAGES:
        root = check_page(await get_page(sample, path))
        assert not [each for each in root.iter("section") if "data-map" in each.attrib]
    assert "scripts/assets" in await get_page(sample, "/collections/countries/items")
    assert "scripts/assets" in await get_page(sample, "/api.html")


def test_the_version_changes_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    versions = set()
    for number, name in enumerate(("geosvc.css", MAP_LIBRARY, API_LIBRARY)):
        (tmp_path / name).write_text(str(number))
        versions.add(Assets.load(tmp_path).version)
    assert len(versions) == 3


def test_the_background_of_the_map_is_small() -> None:
    countries = Assets.load().files["countries.json"].body
    assert len(countries) < 300_000
    assert len(json.loads(countries)["features"]) == 241


def code_of(client: Client, base: str, name: str) -> Iterator[tuple[str, str]]:
    """(client, code) of each snippet."""
    app = client.app
    assert isinstance(app, web.Application)
    collection = next(each for each in app[CATALOG].collections_for(ANONYMOUS) if each.id == name)
    yield from ((each.client, each.code) for each in write_snippets(base, collection))


async def test_the_snippets_of_the_command_line_and_of_python_do_what_they_say(
    sample: Client, sample_process: Running, tmp_path: Path
) -> None:
    pyogrio = pytest.importorskip("pyogrio")
    snippets = dict(code_of(sample, sample_process.url, "buildings"))
    for line in snippets["curl"].splitlines():
        command = ["/bin/sh", "-c", f"{line} -sS -f"]
        run = await asyncio.to_thread(
            subprocess.run, command, cwd=tmp_path, capture_output=True, timeout=60, check=True
        )
        assert (
            b"FeatureCollection" in run.stdout or (tmp_path / "features.csv").stat().st_size > 1_000
        )
    for call in re.findall(r"geopandas\.read_file\((.*)\)", snippets["geopandas"]):
        source, layer = re.findall(r'"([^"]*)"', call)
        assert (await asyncio.to_thread(pyogrio.read_info, source, layer=layer))["geometry_type"]
        assert source in snippets["GDAL"]
    assert snippets["QGIS"] == f"{sample_process.url}/"


async def test_pages_of_features_say_their_reference_system(
    service: Service, sample_url: str
) -> None:
    client = await service(sample_url, crs=(3035,))
    uri = "http://www.opengis.net/def/crs/EPSG/0/3035"
    for path in ("/collections/countries/items", "/collections/countries/items/FIN"):
        async with client.get(path, params={"crs": uri, "f": "html"}) as response:
            assert response.status == 200
            assert response.headers["Content-Crs"] == f"<{uri}>"


def headings(root: Element) -> list[tuple[str, str | None, str | None]]:
    """(text, aria-sort, href) of each column."""
    table = next(each for each in root.iter("table") if "data-features-table" in each.attrib)
    found = []
    for each in table.findall("thead/tr/th"):
        link = each.find("a")
        found.append(
            (texts(each), each.get("aria-sort"), link.get("href") if link is not None else None)
        )
    return found


async def test_more_features_than_a_page_shows_are_told(sample: Client) -> None:
    for limit, told in (("1000", True), ("200000", True), (str(MAX_ROWS), False), ("3", False)):
        root = check_page(
            await get_page(sample, f"/collections/cities/items?limit={limit}&properties=name")
        )
        hints = [
            texts(each)
            for each in root.iter("p")
            if each.get("class") == "hint" and "data-live" not in each.attrib
        ]
        assert [f"{MAX_ROWS} features at the most" in each for each in hints] == [True] * told, (
            limit
        )
        field = next(each for each in root.iter("input") if each.get("id") == "limit")
        assert field.get("value") == limit
        assert "max" not in field.attrib  # the browser refuses to send what is above it


@pytest.mark.parametrize(
    ("bbox", "faults"),
    [
        ("5,,,", {"south": "is missing", "east": "is missing", "north": "is missing"}),
        (",45,12,52", {"west": "is missing"}),
        ("5,45,x,52", {"east": "is not a number"}),
        ("5,45,0,12,,9", {"north": "is missing"}),
        ("5,45,12", {"north": "is missing"}),
    ],
)
async def test_a_side_of_the_box_that_is_missing_is_named_beside_its_field(
    sample: Client, bbox: str, faults: dict[str, str]
) -> None:
    root = check_page(await get_page(sample, f"/collections/countries/items?bbox={bbox}", 400))
    fields = {each.get("id"): each for each in root.iter("input")}
    by_id = {each.get("id"): texts(each) for each in root.iter() if each.get("id")}
    found = {}
    for corner in ("west", "south", "east", "north"):
        if fields[corner].get("aria-invalid") == "true":
            found[corner] = by_id[fields[corner].get("aria-describedby") or ""].lower()
    assert found == {corner: f"{corner} {fault}" for corner, fault in faults.items()}
    if bbox.count(",") > 2:
        problem = await fetch(sample, f"/collections/countries/items?bbox={bbox}&f=json", 400)
        assert all(corner in problem["detail"] for corner in faults), problem


async def test_a_box_with_heights_keeps_them_in_the_form(sample: Client) -> None:
    root = check_page(
        await get_page(sample, "/collections/countries/items?bbox=5,45,-10,12,52,9000")
    )
    fields = [
        (each.get("name") or "", each.get("value") or "")
        for each in root.iter("input")
        if each.get("type") != "checkbox"
    ]
    query = urlencode([(name, value) for name, value in fields if name])
    async with sample.get(
        URL(f"/collections/countries/items?{query}&f=html", encoded=True), allow_redirects=False
    ) as response:
        assert "bbox=5,45,-10,12,52,9000" in response.headers["Location"]


async def test_a_table_has_each_id_once_and_every_column_sorts(sample: Client) -> None:
    root = check_page(
        await get_page(sample, "/collections/countries/items?limit=3&sortby=-adm0_a3")
    )
    found = headings(root)
    assert [name for name, _, _ in found].count("adm0_a3") == 1
    assert found[0][:2] == ("adm0_a3", "descending")
    assert all(sort in ("ascending", "descending", "none") and href for _, sort, href in found)
    assert [row[0] for row in rows(root)] == ["ZWE", "ZMB", "ZAF"]
    root = check_page(await get_page(sample, urljoin("/collections/countries/items", found[0][2])))
    assert headings(root)[0][1] == "ascending"


async def pages_of(client: Client, path: str, rel: str) -> list[list[str]]:
    """The ids of each page that the links of a relation lead to."""
    found = []
    while path:
        root = check_page(await get_page(client, path))
        found.append([row[0] for row in rows(root)])
        hrefs = [each.get("href") or "" for each in root.iter("a") if each.get("rel") == rel]
        assert hrefs[:1] == hrefs[1:]  # above the table and below
        path = urljoin(path, hrefs[0]) if hrefs else ""
        if rel == "next" and not path:
            previous = [
                each.get("href") or "" for each in root.iter("a") if each.get("rel") == "prev"
            ]
            found.append([urljoin("/collections/countries/items", previous[0])])
    return found


@pytest.mark.parametrize(
    "query",
    [
        "limit=100&properties=name",
        "limit=90&sortby=-continent",
        "limit=100&offset=30",
        "limit=60&pop_est=0",
    ],
)
async def test_pages_lead_back_the_way_they_lead_on(sample: Client, query: str) -> None:
    async with sample.get(f"/collections/countries/items?{query}&f=html") as response:
        single = 'rel="next"' not in await response.text()
    if single:
        return
    *forward, (last,) = await pages_of(sample, f"/collections/countries/items?{query}", "next")
    back = await pages_of(sample, last, "prev")
    if "offset" in query:
        assert back[0] == forward[-2]
    else:
        assert back == forward[-2::-1]


async def test_a_page_says_which_features_it_shows(sample: Client) -> None:
    path = "/collections/countries/items?limit=100"
    said = []
    while path:
        root = check_page(await get_page(sample, path))
        said.append(texts(next(each for each in root.iter("p") if "data-count" in each.attrib)))
        hrefs = [each.get("href") or "" for each in root.iter("a") if each.get("rel") == "next"]
        path = urljoin(path, hrefs[0]) if hrefs else ""
    assert said == [
        "Features 1 to 100 of 241",
        "Features 101 to 200 of 241",
        "Features 201 to 241 of 241",
    ]


NAMED = """
CREATE TABLE a (id int PRIMARY KEY, title text, name text, geom geometry(Point, 4326));
INSERT INTO a VALUES (1, 'T', 'N <b>', NULL), (2, 'T', '', NULL);
CREATE TABLE b (id int PRIMARY KEY, name int, street_name text, geom geometry(Point, 4326));
INSERT INTO b VALUES (1, 7, 'S', NULL), (2, 7, NULL, NULL);
CREATE TABLE c (id int PRIMARY KEY, "NAME" varchar, geom geometry(Point, 4326));
INSERT INTO c VALUES (1, 'Upper', NULL), (2, repeat('x', 500), NULL);
CREATE TABLE d (id int PRIMARY KEY, filename jsonb, geom geometry(Point, 4326));
INSERT INTO d VALUES (1, '{}', NULL);
"""


@pytest.fixture
def named_url(bare_database_url: str) -> str:
    """A database of features that have names, or have none."""
    execute(bare_database_url, NAMED)
    return bare_database_url


async def test_the_page_of_a_feature_is_titled_by_its_name(
    service: Service, named_url: str
) -> None:
    client = await service(named_url)
    for path, heading in (
        ("a/items/1", "N <b>"),
        ("a/items/2", "T"),
        ("b/items/1", "S"),
        ("b/items/2", "b 2"),
        ("c/items/1", "Upper"),
        ("c/items/2", "c 2"),
        ("d/items/1", "d 1"),
    ):
        root = check_page(await get_page(client, f"/collections/{path}"))
        assert texts(root.find(".//h1")) == heading, path
        assert texts(root.find("head/title")).startswith(heading), path


async def test_what_a_form_proposes_is_taken(nasty: Client, sample: Client) -> None:
    for client in (nasty, sample):
        for each in (await fetch(client, "/collections"))["collections"]:
            url = URL(
                next(link["href"] for link in each["links"] if link["rel"] == "items"), encoded=True
            ).relative()
            async with client.get(url.update_query(f="html")) as response:
                root = parse(await response.text())
            fields = {
                each.get("id"): each.get("placeholder")
                for each in root.iter()
                if each.get("placeholder")
            }
            proposed = {name: text for name in ("filter", "sortby") if (text := fields.get(name))}
            async with client.get(url.update_query(limit="1", **proposed)) as response:
                answer = await response.json(content_type=None)
            assert answer.get("parameter") not in proposed, (each["id"], proposed, answer)


async def test_the_box_of_a_snippet_lies_in_its_collection_and_holds_some_of_it(
    sample: Client,
) -> None:
    for name in ("buildings", "cities", "countries", "streets"):
        page = await get_page(sample, f"/collections/{name}")
        (box,) = re.findall(r"bbox=\(([^)]*)\)", page)
        west, south, east, north = map(float, box.split(", "))
        extent = (await fetch(sample, f"/collections/{name}"))["extent"]["spatial"]["bbox"][0]
        assert extent[0] - 0.01 <= west < east <= extent[2] + 0.01
        assert extent[1] - 0.01 <= south < north <= extent[3] + 0.01
        found = await fetch(
            sample, f"/collections/{name}/items?bbox={west},{south},{east},{north}&limit=1"
        )
        assert found["numberReturned"] == 1
    landing = await get_page(sample, "/")
    assert "bbox=(24." in landing
