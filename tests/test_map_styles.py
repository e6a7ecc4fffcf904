"""Map styles: checked by the style specification's own validator, compared with the tables, and
drawn by MapLibre in a real browser.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browsing import CHROMIUM, Visiting, chromium, visiting
from tests.conftest import Client, Service, execute, with_database
from tests.http import fetch
from tests.processes import Running, serving, unexpected

CLIENTS = Path(__file__).parent / "clients"
INSTALL = CLIENTS.parent.parent / "scripts" / "clients"
WORKSHOP = """
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE TABLE mixed (id integer PRIMARY KEY, share numeric, heat float8, mood mood, open boolean,
  name varchar(20), color text, seen timestamptz, same integer, nil integer, geom geometry(Geometry, 4326));
INSERT INTO mixed SELECT n, CASE WHEN n % 10 > 0 THEN n END,
  CASE n WHEN 3 THEN 'NaN' WHEN 4 THEN 'Infinity' ELSE n * 1.5 END,
  CASE WHEN n % 3 = 0 THEN 'wild' ELSE 'calm' END::mood, n % 2 = 0, 'name ' || n % 12, 'red', now(), 7, 0,
  CASE n % 3
    WHEN 0 THEN ST_Point(n / 10.0, 10, 4326)
    WHEN 1 THEN ST_SetSRID(ST_MakeLine(ST_Point(n / 10.0, 20), ST_Point(n / 10.0 + 1, 22)), 4326)
    ELSE ST_MakeEnvelope(n / 10.0, 30, n / 10.0 + 1, 31, 4326) END
FROM generate_series(1, 100) n;
CREATE TABLE coded (code text PRIMARY KEY, point_count integer, geom geometry(Point, 4326));
INSERT INTO coded VALUES ('x', 5, 'SRID=4326;POINT(8.5 47.4)');
CREATE TABLE bare (geom geometry(MultiLineString, 4326));
CREATE TABLE many (id integer PRIMARY KEY, grade integer, geom geometry(Point, 4326));
INSERT INTO many SELECT n, n, ST_Point(n % 360 - 180, n % 150 - 75, 4326)
FROM generate_series(1, 100000) n;
CREATE SCHEMA geosvc_functions;
CREATE FUNCTION geosvc_functions.around(place text) RETURNS TABLE (name text, size integer, geom geometry(Point, 4326))
  LANGUAGE sql STABLE AS $$ SELECT place || n, n, ST_Point(n, n, 4326) FROM generate_series(1, 10) n $$;
CREATE VIEW slow AS SELECT id, grade, geom, pg_sleep(0.01)::text AS pause FROM many;
ANALYZE;
"""


@pytest.fixture(scope="module")
def styles_url(server_url: str, bare_template: str) -> str:
    """The tables, shared by the tests here, which only read."""
    name = "geosvc_map_styles"
    execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{bare_template}"')
    url = with_database(server_url, name)
    execute(url, WORKSHOP)
    return url


@pytest.fixture
async def client(service: Service, styles_url: str) -> Client:
    return await service(styles_url)


@pytest.fixture(scope="module")
def running(styles_url: str) -> Iterator[Running]:
    """The built program serving the tables; its log holds no error at the end."""
    with serving(styles_url) as process:
        yield process
        assert not unexpected(process)


@pytest.fixture(scope="session")
def installed() -> None:
    """The clients, as the lock file has them."""
    done = subprocess.run([str(INSTALL)], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, running: Running) -> Iterator[Visiting]:
    """Makes visits; at the end none may have done what it should not."""
    with visiting(browser, running.url) as make:
        yield make


def faults(addresses: list[str]) -> dict[str, list[str]]:
    """What the validator of the style specification says."""
    command = ["node", str(CLIENTS / "map_styles.mjs"), *addresses]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_every_style_keeps_the_specification(installed: None, running: Running) -> None:
    colours = ("share", "heat", "mood", "open", "name", "color", "same")
    paths = [f"/collections/mixed/style?color={colour}" for colour in colours]
    paths += ["/style", "/style?collections=coded,mixed", "/collections/around/style?place=x"]
    paths += [f"/collections/{each}/style" for each in ("coded", "bare", "many", "mixed")]
    addresses = [running.url + path for path in paths]
    assert faults(addresses) == {address: [] for address in addresses}


@pytest.mark.slow
def test_styles_of_difficult_tables_keep_the_specification(installed: None, nasty_url: str) -> None:
    with serving(nasty_url, tile_max_collections="100") as process:
        assert faults([f"{process.url}/style"]) == {f"{process.url}/style": []}


async def test_a_style_has_the_layers_of_its_geometries(client: Client) -> None:
    style = await fetch(client, "/collections/coded/style")
    assert [each["type"] for each in style["layers"]] == ["circle"]
    assert "point_count" not in json.dumps(style["layers"])  # it is a property of this table
    style = await fetch(client, "/collections/bare/style")
    assert [each["type"] for each in style["layers"]] == ["line", "circle"]
    style = await fetch(client, "/collections/mixed/style")
    assert [each["type"] for each in style["layers"]] == ["fill", "line", "line", "circle"]
    kinds = [each["filter"][2][0] for each in style["layers"]]
    assert kinds == ["Polygon", "Polygon", "LineString", "Point"]
    assert "point_count" in json.dumps(style["layers"][-1])


async def test_a_style_opens_as_it_is(client: Client) -> None:
    async with client.get("/collections/coded/style") as response:
        assert response.headers["Content-Type"] == "application/vnd.mapbox.style+json"
        style = await response.json(content_type=None)
    assert style["version"] == 8
    source = style["sources"]["coded"]
    base = str(client.make_url("/collections/coded/tiles/WebMercatorQuad"))
    assert source["url"] == f"{base}?f=tilejson"
    assert source["promoteId"] == {"coded": "code"}
    assert style["center"] == pytest.approx([8.5, 47.4], abs=0.01)
    assert not {"glyphs", "sprite"} & style.keys()
    for short in ("mbs", "json"):
        await fetch(client, f"/collections/coded/style?f={short}")
    await fetch(client, "/collections/coded/style?f=csv", 400)


async def test_a_style_is_not_sent_to_who_has_it(client: Client) -> None:
    async with client.get("/collections/many/style?color=grade") as response:
        tag = response.headers["ETag"]
    headers = {"If-None-Match": tag}
    async with client.get("/collections/many/style?color=grade", headers=headers) as response:
        assert response.status == 304


async def test_the_parameters_of_tiles_are_those_of_the_source(client: Client) -> None:
    query = "filter=share%20%3E%2050&properties=name&color=mood"
    style = await fetch(client, f"/collections/mixed/style?{query}")
    tilejson = await fetch(client, style["sources"]["mixed"]["url"])
    template = tilejson["tiles"][0]
    assert "filter=share%20%3E%2050" in template
    assert "properties=%22name%22,%22id%22,%22mood%22" in template
    assert "color" not in template
    await fetch(client, "/collections/mixed/style?filter=nothing%3D", 400)
    await fetch(client, "/collections/mixed/style?bbox=1,2,3,4", 400)


async def test_an_argument_of_a_function_is_that_of_its_tiles(client: Client) -> None:
    style = await fetch(client, "/collections/around/style?place=here&color=name")
    assert [each["label"] for each in legend(style)][:2] == ["here1", "here10"]
    assert "place=here" in style["sources"]["around"]["url"]
    await fetch(client, "/collections/around/style", 400)


def legend(style: dict[str, Any]) -> list[dict[str, str]]:
    """The legend of a style."""
    found: list[dict[str, str]] = style["metadata"]["geosvc:legend"]
    return found


async def test_numbers_have_classes_of_as_many_features(client: Client) -> None:
    style = await fetch(client, "/collections/mixed/style?color=share")
    labels = [each["label"] for each in legend(style)]
    assert labels == ["below 19", "19 to 39", "39 to 59", "59 to 79", "79 and more", "no value"]
    assert len({each["color"] for each in legend(style)}) == 6
    assert style["metadata"]["geosvc:color"] == "share"
    circle = style["layers"][-1]["paint"]["circle-color"]
    assert circle[:2] == ["case", ["has", "share"]]
    assert circle[2][3::2] == [19, 39, 59, 79]


async def test_numbers_that_are_none_have_no_class(client: Client) -> None:
    style = await fetch(client, "/collections/mixed/style?color=heat")
    assert "no value" in [each["label"] for each in legend(style)]
    assert not re.search(r"nan|inf", json.dumps(legend(style)))


async def test_equal_numbers_are_one_class(client: Client) -> None:
    style = await fetch(client, "/collections/mixed/style?color=same")
    assert [each["label"] for each in legend(style)] == ["7"]
    style = await fetch(client, "/collections/mixed/style?color=nil")
    assert [each["label"] for each in legend(style)] == ["0"]


async def test_the_classes_of_a_large_table_come_from_a_sample(client: Client) -> None:
    style = await fetch(client, "/collections/many/style?color=grade")
    color = style["layers"][-1]["paint"]["circle-color"]
    assert color[2][3::2] == pytest.approx([20_000, 40_000, 60_000, 80_000], rel=0.15)


async def test_a_view_that_takes_too_long_has_one_colour(service: Service, styles_url: str) -> None:
    client = await service(styles_url, count_seconds=0.2)
    style = await fetch(client, "/collections/slow/style?color=pause")
    assert [each["label"] for each in legend(style)] == ["slow"]


async def test_the_most_common_texts_have_colours(client: Client) -> None:
    style = await fetch(client, "/collections/mixed/style?color=name")
    labels = [each["label"] for each in legend(style)]
    assert labels[:4] == ["name 1", "name 2", "name 3", "name 4"]
    assert labels[-1] == "other"
    assert len(labels) == 9
    style = await fetch(client, "/collections/mixed/style?color=mood")
    assert [each["label"] for each in legend(style)] == ["calm", "wild"]
    style = await fetch(client, "/collections/mixed/style?color=open")
    assert [each["label"] for each in legend(style)] == ["false", "true"]
    style = await fetch(client, "/collections/mixed/style?color=color")
    assert [each["label"] for each in legend(style)] == ["red"]


@pytest.mark.parametrize("name", ["nothing", "seen", "geom", ""])
async def test_a_property_without_colours_is_refused(client: Client, name: str) -> None:
    problem = await fetch(client, f"/collections/mixed/style?color={name}", 400)
    assert problem["parameter"] == "color"


async def test_each_collection_has_its_colour(client: Client) -> None:
    style = await fetch(client, "/style?collections=many,bare,coded")
    assert [each["label"] for each in legend(style)] == ["many", "bare", "coded"]
    assert len({each["color"] for each in legend(style)}) == 3
    alone = await fetch(client, "/collections/coded/style")
    assert legend(alone)[0] in legend(style)
    # points are above lines, whatever the order of the collections
    assert [each["type"] for each in style["layers"]] == ["line", "circle", "circle", "circle"]
    for query in ("?collections=nothing", "?color=grade"):
        await fetch(client, f"/style{query}", 400)


async def test_documents_link_to_styles(client: Client) -> None:
    for path in (
        "/",
        "/collections/coded",
        "/collections/coded/tiles/WebMercatorQuad",
        "/tiles/WebMercatorQuad?collections=coded",
    ):
        links = (await fetch(client, path))["links"]
        (found,) = [link for link in links if link["rel"] == "stylesheet"]
        assert found["type"] == "application/vnd.mapbox.style+json"
        assert (await fetch(client, found["href"]))["version"] == 8


async def test_without_web_mercator_there_is_no_style(service: Service, styles_url: str) -> None:
    client = await service(styles_url, tile_matrix_sets=("WorldCRS84Quad",))
    await fetch(client, "/collections/coded/style", 404)
    links = (await fetch(client, "/collections/coded"))["links"]
    assert not [link for link in links if link["rel"] == "stylesheet"]


DRAW = """async style => {
  const library = document.querySelector("[data-map]").dataset.library;
  const { Map } = await import(new URL(library, document.baseURI).href);
  const box = document.createElement("div");
  box.style.cssText = "position: fixed; inset: 0; z-index: 9";
  document.body.append(box);
  const map = new Map({ container: box, style: new URL(style, location.origin).href });
  await new Promise((resolve, reject) => {
    map.once("idle", resolve);
    map.on("error", event => reject(event.error));
  });
  const found = map.queryRenderedFeatures();
  return [...new Set(found.map(each => `${each.layer.id} ${each.id}`))];
}"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_maplibre_draws_every_feature_of_a_style(visit: Visiting) -> None:
    page = visit().open("/collections/coded")
    drawn = page.evaluate(DRAW, "/collections/mixed/style?color=share")
    assert len({each.partition(" ")[2] for each in drawn}) == 100
    layers = {each.partition(" ")[0] for each in drawn}
    assert layers == {"mixed/fill", "mixed/outline", "mixed/line", "mixed/circle"}


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_maplibre_draws_several_collections(visit: Visiting) -> None:
    page = visit().open("/collections/coded")
    drawn = page.evaluate(DRAW, "/style?collections=coded,mixed")
    assert "coded/circle x" in drawn
    assert len({each for each in drawn if each.startswith("mixed/")}) > 100
