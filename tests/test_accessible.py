"""Every page is checked by axe-core (WCAG 2.2 A and AA, and best practices), on a desk in the light
and on a phone in the dark, and by html-validate: those of every route, of empty and of nasty
collections, of errors and of the admin listener.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import BrowserContext, Page, ViewportSize

from geosvc.routes import ADMIN_ROUTES, PAGE_ROUTES, ROUTES
from tests.browsing import CHROMIUM, DESK, PATIENCE_MS, Visit, chromium
from tests.conftest import _cloning, execute
from tests.processes import Running, serving
from tests.test_pages import check_names, parse

CLIENTS = Path(__file__).parent / "clients"
INSTALL = CLIENTS.parent.parent / "scripts" / "clients"
AXE = CLIENTS / "node_modules" / "axe-core" / "axe.min.js"
HTML_VALIDATE = CLIENTS / "node_modules" / ".bin" / "html-validate"
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.slow,
]

NARROW: ViewportSize = {"width": 320, "height": 640}
# a script has heard of another scheme of colours, and transitions to them have ended
SETTLED = """async () => {
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  await Promise.allSettled(document.getAnimations().map(each => each.finished));
}"""
# without what keeps the links of ids 24 px wide and high: axe-core has to find that (WCAG 2.5.8)
SHRINK = """() => {
  for (const { style } of document.querySelectorAll("th[scope=row] a")) [style.minWidth, style.minHeight] = ["0", "0"];
}"""
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# what is a matter of style, and what is ours to choose
RULES = {
    "void-style": "off",
    "no-trailing-whitespace": "off",
    "long-title": "off",
    "doctype-style": "off",
    "no-inline-style": "off",
    "require-sri": "off",
    "no-implicit-input-type": "off",
    "prefer-native-element": "off",
}
# GET routes whose answers are no pages, whatever a browser asks for
NO_PAGES = {
    "getApi",
    "exportFeatures",
    "getChanges",
    "getAsset",
    "collection.vector.getStyle",
    "dataset.vector.getStyle",
    "getLiveness",
    "getReadiness",
    "getMetrics",
}
NO_PAGES |= {"confirmCancel"}  # which is there while its statement runs: tests/test_operations.py
NASTY = """
CREATE TYPE mood AS ENUM ('', '<b>', '"');
CREATE TABLE "nasty <&> ""'" (
    id text PRIMARY KEY, "a ""quoted"" <name>" text, nested jsonb, many text[], mood mood, link text, day date, span tstzrange,
    whole bigint, truth boolean, bytes bytea, name text, geom geometry(Geometry, 4326));
COMMENT ON TABLE "nasty <&> ""'" IS 'A <script>comment</script> & more';
INSERT INTO "nasty <&> ""'" VALUES
    ('1', '<i>', '{"a": {"b": [1, null, "x"]}}', '{a,NULL,"b c"}', '<b>', 'https://example.org/"x', '2024-02-29',
     '[2024-01-01,)', 9007199254740993, true, '\\x00ff', 'Name <b>', ST_Point(179, 1, 4326)),
    ('2', E'\\u0001\\ufffe', '[]', '{}', '"', NULL, 'infinity', 'empty', NULL, NULL, NULL, ' ', NULL),
    (repeat('long', 60), repeat('w', 3000), NULL, NULL, NULL, 'javascript:alert(1)', NULL, NULL, -1, false, '',
     repeat('n', 200), ST_MakeEnvelope(-179, -10, -170, 10, 4326));
CREATE TABLE nothing (id int PRIMARY KEY, name text, geom geometry(Point, 4326));
CREATE TABLE keyless (name text, geom geometry(Point, 4326));
INSERT INTO keyless SELECT 'n' || n, ST_Point(n, n, 4326) FROM generate_series(1, 30) AS n;
CREATE TABLE numbers (id int PRIMARY KEY, geom geometry(Point, 4326), seen timestamptz);
INSERT INTO numbers SELECT n, ST_Point(n, n, 4326), now() FROM generate_series(1, 30) AS n;
CREATE TABLE wide ("id" int PRIMARY KEY, geom geometry(Point, 4326));
CREATE SCHEMA geosvc_functions;
CREATE FUNCTION geosvc_functions.near(lon float8, lat float8) RETURNS TABLE (name text, geom geometry(Point, 4326))
    LANGUAGE sql STABLE AS $$ SELECT 'here', ST_Point(lon, lat, 4326) $$;
DO $$ BEGIN FOR number IN 1..120 LOOP EXECUTE format('ALTER TABLE wide ADD "column %s" text', number); END LOOP; END $$;
INSERT INTO wide (id, geom) VALUES (1, ST_Point(1, 1, 4326));
ANALYZE;
"""
ODD = quote("nasty <&> \"'", safe="")
# beside those of the routes
MORE = (
    f"/collections/{ODD}",
    f"/collections/{ODD}/items",
    f"/collections/{ODD}/items/{'long' * 60}",
    f"/collections/{ODD}/schema",
    "/collections/nothing",
    "/collections/nothing/items",
    "/collections/nothing/items?filter=id%20%3E%20%3E&sortby=-id",
    "/collections/keyless/items?offset=10",
    "/collections/keyless/items?limit=1000",
    "/collections/near/items",
    "/collections/near/items?lon=1&lat=2",
    "/collections/numbers/items?bbox=1,,3,&datetime=2024",
    "/collections/numbers/items?limit=3&offset=3&sortby=id",
    "/collections/wide/items",
    "/collections/nosuch",
    "/collections/numbers/items/nosuch",
    "/collections?nosuch=1",
    "/nowhere",
)


def pages_of_routes() -> list[str]:
    """A page of every route that has one."""
    routes = [
        route
        for route in (*ROUTES, *PAGE_ROUTES)
        if route.method == "GET" and route.operation_id not in NO_PAGES
    ]
    return [
        route.path.replace("{collectionId}", "numbers").replace("{featureId}", "1")
        for route in routes
    ]


def admin_pages() -> list[str]:
    """A page of every route of the admin listener that has one."""
    return [
        route.path
        for route in ADMIN_ROUTES
        if route.method == "GET" and route.operation_id not in NO_PAGES
    ]


@pytest.fixture(scope="module")
def tools() -> None:
    """axe-core and html-validate, as the lock file has them."""
    done = subprocess.run([str(INSTALL)], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def running(server_url: str, bare_template: str) -> Iterator[Running]:
    """A service of everything nasty, where each query is a slow one."""
    with _cloning(server_url) as make:
        url = make(bare_template)
        execute(url, NASTY)
        about = {
            "contact": "GIS <gis@example.org> (https://example.org)",
            "license": "ODbL (https://example.org/odbl)",
        }
        with serving(url, slow_query_ms="0", **about) as running:
            assert running.url
            yield running


@pytest.fixture(scope="module")
def context(tools: None, running: Running) -> Iterator[BrowserContext]:
    """A window of the browser; the service comes first, since its database is made in a loop of its
    own.
    """
    with chromium() as browser:
        context = browser.new_context(viewport=DESK)
        context.set_default_timeout(PATIENCE_MS)
        yield context
        context.close()


def violations(page: Page) -> list[str]:
    """What axe-core finds: the rule and the element of each."""
    if not page.evaluate("Boolean(globalThis.axe)"):
        page.evaluate(f"() => {{ {AXE.read_text('utf-8')} }}")
    options = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
    run = "async options => (await axe.run(document, options)).violations"
    found: list[dict[str, Any]] = page.evaluate(run, options)
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found
        for node in each["nodes"]
    ]


def check(page: Page, path: str) -> list[str]:
    """What is wrong with the page that is open: on a desk in the light, on a phone in the dark."""
    found = []
    for size in (DESK, NARROW):
        scheme: Literal["dark", "light"] = "dark" if size is NARROW else "light"
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        page.evaluate(SETTLED)
        found += [f"{path} {scheme}: {each}" for each in violations(page)]
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > size["width"]:
            found.append(f"{path} is {width} pixels wide where the window has {size['width']}")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESK)
    return found


def every_page(running: Running) -> list[str]:
    """The addresses of all pages."""
    paths = dict.fromkeys([*pages_of_routes(), *MORE])
    return [
        *(running.url + path for path in paths),
        *(running.admin_url + path for path in admin_pages()),
    ]


def test_no_page_has_a_barrier(context: BrowserContext, running: Running) -> None:
    page = context.new_page()
    page.route("**/vendor/maplibre-gl.mjs", lambda route: route.abort())
    found: list[str] = []
    for url in every_page(running):
        page.goto(url)
        if url.endswith("/api.html"):
            page.wait_for_selector("#swagger[data-state=ready]")
        found += check(page, url)
    page.close()
    assert found == []


def test_a_map_with_a_feature_selected_has_no_barrier(
    context: BrowserContext, running: Running
) -> None:
    visited = Visit(context.new_page(), running.url)
    page = visited.open("/collections/numbers/items?limit=3")
    page.get_by_role("button", name="Show 1 on the map").click()
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_text("Columns", exact=True).click()
    found = check(page, "a map")
    page.evaluate(SHRINK)
    small = violations(page)
    page.close()
    assert found == []
    assert small
    assert all(each.startswith("target-size: <a ") for each in small)


def test_every_page_is_valid_html(tools: None, running: Running, tmp_path: Path) -> None:
    for number, url in enumerate(every_page(running)):
        try:
            with urlopen(Request(url, headers={"Accept": "text/html"}), timeout=30) as response:
                body = response.read()
        except HTTPError as error:
            body = error.read()
        check_names(parse(body.decode()))
        (tmp_path / f"{number:02}-{quote(url.partition('//')[2], safe='')[-80:]}.html").write_bytes(
            body
        )
    rules = {"extends": ["html-validate:recommended"], "rules": RULES, "root": True}
    (tmp_path / ".htmlvalidate.json").write_text(json.dumps(rules))
    report = tmp_path / "report.json"  # of a pipe, node loses the end
    command = ["node", str(HTML_VALIDATE), "--formatter", f"json={report}", "--ext", "html", "."]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert report.exists(), done.stderr
    found = [
        f"{Path(each['filePath']).name}:{message['line']}: {message['ruleId']}:"
        f" {message['message']}"
        for each in json.loads(report.read_text())
        for message in each["messages"]
    ]
    assert found == []
