"""Pages of many features in a real browser: the map has all of them as tiles, and those of the page
above.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from geosvc.database.migrations import migrate_up
from tests.browsing import CHROMIUM, PHONE, Visiting, chromium, column, position, visiting
from tests.conftest import execute, settings_for
from tests.live import publish_now
from tests.processes import Running, serving, unexpected
from tests.test_live_map import aside

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.slow,
]
OPENLAYERS = Path(__file__).parent / "clients" / "node_modules" / "ol" / "dist" / "ol.js"
TABLES = """
CREATE TABLE sites (id bigint PRIMARY KEY, name text, kind text, grade integer, geom geometry(Point, 4326));
INSERT INTO sites SELECT 9007199254740993 + n, 'site ' || n, CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END, n,
  ST_Point(n % 20, 40 + n / 20, 4326) FROM generate_series(0, 299) n;
CREATE TABLE paired (room integer, visitor text, geom geometry(Polygon, 4326), PRIMARY KEY (room, visitor));
INSERT INTO paired SELECT n, 'a,' || n, ST_MakeEnvelope(n, 50, n + 0.8, 51, 4326) FROM generate_series(1, 30) n;
CREATE TABLE moved (id integer PRIMARY KEY, geom geometry(Point, 4326));
INSERT INTO moved SELECT n, ST_Point(n % 20, 40 + n / 20, 4326) FROM generate_series(1, 99) n;
CREATE VIEW keyless AS SELECT name, geom FROM sites;
ANALYZE;
"""
SHOWN = """() => {
  const { map } = document.querySelector("[data-map]");
  const layers = map.getStyle().layers.map(each => each.id).filter(id => id.startsWith("tiles/"));
  if (!layers.length) return null;
  const found = map.queryRenderedFeatures({ layers });
  return [...new Set(found.map(each => JSON.stringify(each.geometry.coordinates)))].length;
}"""


@pytest.fixture(scope="module")
def url(bare_module_url: str) -> str:
    """A database with larger tables than a page shows; one of them is published."""

    def prepare() -> None:
        migrate_up(settings_for(bare_module_url), bare_module_url)
        execute(bare_module_url, TABLES)
        publish_now(bare_module_url, "moved")

    aside(prepare)
    return bare_module_url


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[Browser]:
    """Headless Chromium, whose loop would be in the way of the database's preparation."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def running(url: str) -> Iterator[Running]:
    with serving(url) as process:
        yield process
        assert not unexpected(process)


@pytest.fixture
def visit(browser: Browser, running: Running) -> Iterator[Visiting]:
    """Makes visits; at the end none may have done what it should not."""
    with visiting(browser, running.url) as make:
        yield make


def labels(page: Page) -> list[str]:
    """The legend."""
    return [text.strip() for text in page.locator("[data-entries] li").all_inner_texts()]


def wait_until_shown(page: Page, count: int) -> None:
    """Until the tiles of the map show so many places."""
    wait = f"""async () => {{
      const shown = {SHOWN};
      while (shown() !== {count}) await new Promise(resolve => requestAnimationFrame(resolve));
    }}"""
    page.evaluate(wait)


def test_the_map_has_all_features_and_not_only_those_of_the_page(visit: Visiting) -> None:
    page = visit().open("/collections/sites/items?limit=10")
    assert page.evaluate(SHOWN) == 300
    assert len(column(page)) == 10
    assert labels(page) == ["on this page", "sites"]


def test_few_features_need_no_tiles(visit: Visiting) -> None:
    page = visit().open("/collections/sites/items?limit=10&grade=7")
    assert page.evaluate(SHOWN) is None
    expect(page.locator("[data-legend]")).to_have_count(0)


def test_the_query_of_the_page_is_that_of_its_tiles(visit: Visiting) -> None:
    page = visit().open("/collections/sites/items?limit=10&kind=odd&filter=grade%20%3C%20100")
    assert page.evaluate(SHOWN) == 50
    page = visit().open("/collections/sites/items?limit=10&bbox=-0.5,39.5,9.5,44.5")
    assert page.evaluate(SHOWN) == 50
    page = visit().open("/collections/sites/items?limit=10&bbox=-1,39.5,9.5,44.5&filter=grade<50")
    assert page.evaluate(SHOWN) == 30
    crs = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
    page = visit().open(f"/collections/sites/items?limit=10&bbox=-1,39,9,44&bbox-crs={crs}")
    assert page.evaluate(SHOWN) is None


def test_the_next_pages_have_the_same_map(visit: Visiting) -> None:
    visited = visit()
    page = visited.open("/collections/sites/items?limit=290")
    page.get_by_role("link", name="Next page").first.click()
    visited.wait_for_map()
    assert page.evaluate(SHOWN) == 300


@pytest.mark.parametrize("viewport", [None, PHONE], ids=["desk", "phone"])
def test_a_click_on_a_feature_of_a_tile_shows_all_its_properties(
    visit: Visiting, viewport: dict[str, int] | None
) -> None:
    page = visit(**({"viewport": viewport} if viewport else {})).open(
        "/collections/sites/items?limit=10&sortby=-id"
    )
    page.mouse.click(*position(page, 7, 45))
    panel = page.locator("[data-panel]")
    expect(panel.get_by_role("heading")).to_have_text(str(9007199254740993 + 107))
    expect(panel).to_contain_text("site 107")
    page.mouse.click(*position(page, 16, 54))
    expect(panel).to_contain_text("site 296")
    expect(page.locator("tr.picked")).to_have_count(1)
    page.mouse.click(*position(page, 7.5, 45.5))
    expect(panel).to_be_hidden()


def test_a_key_of_several_columns_is_found(visit: Visiting) -> None:
    page = visit().open("/collections/paired/items?limit=3")
    page.mouse.click(*position(page, 20.4, 50.5))
    expect(page.locator("[data-panel]")).to_contain_text("a,20")


def test_features_without_a_key_are_on_the_map(visit: Visiting) -> None:
    page = visit().open("/collections/keyless/items?limit=3")
    assert page.evaluate(SHOWN) > 3
    page.mouse.click(*position(page, 1, 41))
    expect(page.locator("[data-panel]")).to_be_hidden()


def test_a_feature_under_the_mouse_is_stronger(visit: Visiting) -> None:
    page = visit().open("/collections/paired/items?limit=3")
    page.mouse.move(*position(page, 20.4, 50.5))
    canvas = page.locator("[data-canvas] canvas")
    expect(canvas).to_have_css("cursor", "pointer")
    page.mouse.move(*position(page, 20.4, 53))
    expect(canvas).not_to_have_css("cursor", "pointer")


def test_a_property_gives_the_colours_and_the_legend(visit: Visiting) -> None:
    page = visit().open("/collections/sites/items?limit=10")
    page.get_by_label("Colour by").select_option("kind")
    expect(page.locator("[data-entries] li").first).to_have_text("even")
    assert labels(page) == ["even", "odd"]
    page.get_by_label("Colour by").focus()
    page.keyboard.type("grade")
    expect(page.locator("[data-entries] li")).to_have_count(5)
    swatches = page.locator("[data-entries] .swatch")
    colours = swatches.evaluate_all(
        "all => all.map(each => getComputedStyle(each).backgroundColor)"
    )
    assert len(set(colours)) == 5
    wait_until_shown(page, 300)
    page.get_by_label("Colour by").select_option("")
    expect(page.locator("[data-entries] li").first).to_have_text("on this page")


def test_edits_of_others_appear_in_the_tiles(visit: Visiting, url: str) -> None:
    visited = visit()
    page = visited.open("/collections/moved/items?limit=10")
    expect(page.locator("[data-live][data-state=live]")).to_be_attached()
    assert page.evaluate(SHOWN) == 99
    aside(lambda: execute(url, "UPDATE moved SET geom = ST_Point(5.5, 42.5, 4326) WHERE id > 49"))
    wait_until_shown(page, 50)
    aside(lambda: execute(url, "DELETE FROM moved WHERE id > 49"))
    wait_until_shown(page, 49)


def test_the_landing_page_has_a_map_of_everything(visit: Visiting) -> None:
    page = visit().open("/")
    assert labels(page) == ["keyless", "moved", "paired", "sites"]
    assert page.evaluate(SHOWN) > 300


def test_the_snippet_for_tiles_in_maplibre_draws_all_features(visit: Visiting) -> None:
    page = visit().open("/collections/sites")
    code = page.locator("[data-copy='MapLibre, tiles'] code").inner_text()
    drawn = page.evaluate(
        f"""async () => {{
          const library = document.querySelector("[data-map]").dataset.library;
          const maplibregl = await import(new URL(library, document.baseURI).href);
          document.querySelector("[data-canvas]").id = "map";
          document.querySelector("#map").replaceChildren();
          {code}
          await new Promise(resolve => map.once("idle", resolve));
          return map.queryRenderedFeatures().length;
        }}"""
    )
    assert drawn >= 300


def test_the_snippet_for_tiles_in_openlayers_draws_all_features(visit: Visiting) -> None:
    page = visit(bypass_csp=True).open("/collections/sites")
    code = page.locator("[data-copy='OpenLayers, tiles'] code").inner_text()
    page.add_script_tag(path=OPENLAYERS)
    drawn = page.evaluate(
        f"""async () => {{
          const target = document.querySelector("[data-canvas]");
          const view = new ol.View({{ center: ol.proj.fromLonLat([10, 47]), zoom: 4 }});
          const map = new ol.Map({{ target, view }});
          {code}
          await new Promise(resolve => map.once("rendercomplete", resolve));
          const [layer] = map.getLayers().getArray();
          return layer.getFeaturesInExtent(view.calculateExtent()).length;
        }}"""
    )
    assert drawn >= 300


def test_the_address_for_tiles_in_qgis_is_one_of_tiles(visit: Visiting) -> None:
    page = visit().open("/collections/sites")
    address = page.locator("[data-copy='QGIS, tiles'] code").inner_text()
    for name, number in (("z", 4), ("x", 8), ("y", 5)):
        address = address.replace(f"{{{name}}}", str(number))
    response = page.request.get(address)
    assert response.status == 200
    assert response.headers["content-type"] == "application/vnd.mapbox-vector-tile"
