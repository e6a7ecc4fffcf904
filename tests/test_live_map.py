"""Pages of published tables in a real browser: what somebody changes by plain SQL is on the map and
in the table a moment later, also what was changed while the service was away.

With GEOSVC_PICTURES the pictures of light and dark, phone and desk are left in that folder.
"""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect

from geosvc.database.migrations import migrate_up
from tests.browsing import (
    CHROMIUM,
    CONTRASTS,
    DESK,
    PATIENCE_MS,
    PHONE,
    Visit,
    Visiting,
    chromium,
    column,
    position,
    visiting,
)
from tests.conftest import execute, settings_for
from tests.live import publish_now, unpublish_now
from tests.pooler import free_port
from tests.processes import Running, serving

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.slow,
]
PLACES = "/collections/places/items"
TABLES = """
CREATE TABLE places (id bigint PRIMARY KEY, name text, kind text, note text, geom geometry(Geometry, 4326));
CREATE TABLE unwatched (id int PRIMARY KEY, geom geometry(Point, 4326));
INSERT INTO unwatched VALUES (1, 'SRID=4326;POINT(10 50)');
CREATE VIEW seen AS SELECT * FROM places;
"""
ANEW = """
TRUNCATE places;
INSERT INTO places SELECT n, 'place ' || n, CASE WHEN n < 4 THEN 'town' ELSE 'city' END, NULL,
  ST_SetSRID(ST_MakePoint(8 + n, 50), 4326) FROM generate_series(1, 5) n;
"""
BIG = 9_007_199_254_740_993


def aside(work: Callable[[], object]) -> object:
    """Runs what has a loop of its own beside that of the browser."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.fixture(scope="module")
def url(bare_module_url: str) -> str:
    """A database with a published table and one that is not."""

    def prepare() -> None:
        migrate_up(settings_for(bare_module_url), bare_module_url)
        execute(bare_module_url, TABLES)
        publish_now(bare_module_url, "places")

    aside(prepare)
    return bare_module_url


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[Browser]:
    """Headless Chromium, whose loop would be in the way of the database's preparation."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(url: str) -> Iterator[Running]:
    """The service of the database."""
    with serving(url) as running:
        yield running


Sql = Callable[[str], None]


@pytest.fixture
def sql(url: str) -> Sql:
    """Somebody who edits: five places in a row are there at first."""

    def run(text: str) -> None:
        aside(lambda: execute(url, text))

    run(ANEW)
    return run


@pytest.fixture
def visit(browser: Browser, served: Running, sql: Sql) -> Iterator[Visiting]:
    """Makes visits; at the end none may have done what it should not."""
    with visiting(browser, served.url) as make:
        yield make


def wait_until_live(page: Page) -> None:
    """Until the page says that it follows."""
    expect(page.locator("[data-live-state]")).to_have_text("Live")


def watch(visited: Visit, path: str = PLACES) -> Page:
    """Opens a page, and waits until it follows."""
    page = visited.open(path)
    wait_until_live(page)
    return page


AT = """([lng, lat]) => {
  const { map } = document.querySelector("[data-map]");
  const { x, y } = map.project([lng, lat]);
  const around = [[x - 4, y - 4], [x + 4, y + 4]];
  return map.queryRenderedFeatures(around, { layers: ["feature-point", "feature-fill"] }).length > 0;
}"""


def wait_for_point(page: Page, longitude: float, latitude: float, *, there: bool = True) -> None:
    """Until a feature is drawn somewhere, or is no more."""
    script = AT if there else f"place => !({AT})(place)"
    page.wait_for_function(script, arg=[longitude, latitude], timeout=PATIENCE_MS)


def requests_of(page: Page) -> list[str]:
    """The paths of what is asked for from now on."""
    asked: list[str] = []
    page.on(
        "request",
        lambda request: asked.append(urlsplit(request.url)._replace(scheme="", netloc="").geturl()),
    )
    return asked


def test_an_update_by_plain_sql_moves_a_feature_on_the_map_and_renews_its_row(
    visit: Visiting, sql: Sql
) -> None:
    page = watch(visit())
    wait_for_point(page, 10, 50)
    sql("UPDATE places SET geom = 'SRID=4326;POINT(10 50.5)', name = 'elsewhere' WHERE id = 2")
    wait_for_point(page, 10, 50.5)
    wait_for_point(page, 10, 50, there=False)
    expect(page.get_by_role("row", name="elsewhere")).to_be_visible()
    expect(page.locator("tr.changed")).to_have_count(0)
    assert column(page) == ["1", "2", "3", "4", "5"]


def test_an_insert_appears_and_a_delete_vanishes(visit: Visiting, sql: Sql) -> None:
    page = watch(visit())
    sql("INSERT INTO places VALUES (6, 'new', 'town', NULL, 'SRID=4326;POINT(11.5 50.2)')")
    wait_for_point(page, 11.5, 50.2)
    expect(page.locator("[data-count]")).to_have_text("6 features of 6")
    expect(page.locator("[data-features-table] tbody tr")).to_have_count(6)
    sql("DELETE FROM places WHERE id IN (1, 6)")
    wait_for_point(page, 11.5, 50.2, there=False)
    expect(page.locator("[data-count]")).to_have_text("4 features of 4")
    assert column(page) == ["2", "3", "4", "5"]
    page.get_by_role("button", name="Show 5 on the map").click()
    expect(page.locator("[data-panel] h2")).to_have_text("5")
    sql("UPDATE places SET name = 'renamed' WHERE id = 5")
    expect(page.locator("[data-panel]")).to_contain_text("renamed")
    expect(page.locator("tr.picked")).to_contain_text("renamed")
    sql("DELETE FROM places WHERE id = 5")
    expect(page.locator("[data-panel]")).to_contain_text("was deleted")


def test_the_first_feature_of_an_empty_page_appears_and_the_last_vanishes(
    visit: Visiting, sql: Sql
) -> None:
    sql("DELETE FROM places")
    page = watch(visit())
    expect(page.get_by_text("No feature matches")).to_be_visible()
    sql(f"INSERT INTO places VALUES ({BIG}, 'first', 'town', NULL, 'SRID=4326;POINT(11.5 50.2)')")
    wait_for_point(page, 11.5, 50.2)
    page.get_by_role("button", name=f"Show {BIG} on the map").click()
    expect(page.locator("[data-panel]")).to_contain_text("first")
    sql(f"UPDATE places SET name = 'second' WHERE id = {BIG}")
    expect(page.locator("[data-panel]")).to_contain_text("second")
    sql("DELETE FROM places")
    expect(page.get_by_text("No feature matches")).to_be_visible()


def test_what_the_query_does_not_select_is_not_shown(visit: Visiting, sql: Sql) -> None:
    page = watch(visit(), f"{PLACES}?bbox=8,49,14,51&filter=kind='town'")
    assert column(page) == ["1", "2", "3"]
    asked = requests_of(page)
    sql("INSERT INTO places VALUES (6, 'city', 'city', NULL, 'SRID=4326;POINT(9 50.2)')")
    sql("INSERT INTO places VALUES (7, 'far', 'town', NULL, 'SRID=4326;POINT(9 40)')")
    sql(
        "UPDATE places SET kind = 'town' WHERE id = 4; UPDATE places SET kind = 'city' WHERE id = 1"
    )
    wait_for_point(page, 12, 50)
    wait_for_point(page, 9, 50, there=False)
    expect(page.locator("[data-features-table] tbody tr").first).to_contain_text("place 2")
    assert column(page) == ["2", "3", "4"]
    assert len(asked) <= 2


def test_an_update_beyond_the_page_asks_for_nothing(visit: Visiting, sql: Sql) -> None:
    page = watch(visit(), f"{PLACES}?limit=2")
    asked = requests_of(page)
    sql("UPDATE places SET name = 'beyond' WHERE id = 5")
    sql("UPDATE places SET name = 'here' WHERE id = 1")
    expect(page.get_by_role("row", name="here")).to_be_visible()
    assert asked == [f"{PLACES}?limit=2"]
    sql("DELETE FROM places WHERE id = 1")
    expect(page.locator("[data-features-table] tbody tr").last).to_contain_text("place 3")
    page.evaluate(
        "document.querySelector('[data-map]').map.jumpTo({ zoom: 5 })"
    )  # it lies beyond the first two
    wait_for_point(page, 11, 50)
    expect(page.get_by_role("button", name="Show 3 on the map")).to_be_visible()


def test_a_bulk_change_fetches_everything_anew_once(visit: Visiting, sql: Sql) -> None:
    page = watch(visit(), f"{PLACES}?limit=3&count=exact")
    asked = requests_of(page)
    sql(
        "BEGIN; INSERT INTO places SELECT n, 'many', 'town', NULL, ST_SetSRID(ST_MakePoint(10,"
        " 50), 4326)"
        " FROM generate_series(101, 2100) n; UPDATE places SET name = 'bulk', geom ="
        " ST_Translate(geom, 0, 0.3); COMMIT"
    )
    wait_for_point(page, 9, 50.3)
    expect(page.locator("[data-count]")).to_have_text("Features 1 to 3 of 2,005")
    expect(page.get_by_role("row", name="bulk")).to_have_count(3)
    pages, features = (
        [each for each in asked if ("f=geojson" in each) is wanted] for wanted in (False, True)
    )
    assert (len(pages), len(features)) == (1, 1), asked


def test_a_feature_that_is_too_large_to_be_told_is_fetched_alone(visit: Visiting, sql: Sql) -> None:
    page = watch(visit())
    asked = requests_of(page)
    sql(
        "UPDATE places SET geom = ST_Translate(geom, 0, 0.5),"
        " note = (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 4000) n) WHERE id = 3"
    )
    wait_for_point(page, 11, 50.5)
    assert [each for each in asked if "/items/" in each] == [f"{PLACES}/3?f=geojson&bigint=string"]
    narrowed = watch(visit(), f"{PLACES}?kind=town")
    sql("UPDATE places SET kind = 'city', note = note || 'x' WHERE id = 3")
    wait_for_point(narrowed, 11, 50.5, there=False)


def test_the_page_comes_back_after_a_restart_and_shows_what_happened_meanwhile(
    browser: Browser, url: str, sql: Sql
) -> None:
    port = str(free_port())
    with serving(url, "--port", port) as first:
        visited = Visit(browser.new_page(viewport=DESK), first.url)
        visited.watch()
        page = watch(visited)
        first.stop()
    expect(page.locator("[data-live-state]")).to_have_text("Reconnecting…")
    sql(
        "UPDATE places SET geom = 'SRID=4326;POINT(9 50.4)', name = 'meanwhile' WHERE id = 1;"
        " DELETE FROM places WHERE id = 2"
    )
    with serving(url, "--port", port) as second:
        assert second.url  # it has started
        wait_until_live(page)
        wait_for_point(page, 9, 50.4)
        wait_for_point(page, 10, 50, there=False)
        expect(page.get_by_role("row", name="meanwhile")).to_be_visible()
        assert column(page) == ["1", "3", "4", "5"]
        assert [
            fault
            for fault in visited.faults
            if "ERR_CONNECTION_REFUSED" not in fault and "ERR_INCOMPLETE" not in fault
        ] == []
    page.close()


def test_what_changes_between_the_query_and_the_stream_is_not_missed(
    visit: Visiting, sql: Sql
) -> None:
    visited = visit()
    asked: list[str] = []

    def edit_before(route: Route) -> None:
        sql("UPDATE places SET geom = 'SRID=4326;POINT(9 50.4)', name = 'between' WHERE id = 1")
        asked.append(route.request.url)
        route.continue_()

    visited.page.route("**/changes?*", edit_before)
    page = visited.open(PLACES)
    wait_for_point(page, 9, 50.4)
    expect(page.get_by_role("row", name="between")).to_be_visible()
    assert "last-event-id" in parse_qs(urlsplit(asked[0]).query)


def test_it_is_paused_and_goes_on_by_the_keyboard(visit: Visiting, sql: Sql) -> None:
    page = watch(visit())
    switch = page.get_by_role("button", name="Pause live changes")
    page.get_by_role("heading", level=1).click()
    for _ in range(60):
        page.keyboard.press("Tab")
        if switch.evaluate("each => each === document.activeElement"):
            break
    expect(switch).to_be_focused()
    page.keyboard.press("Space")
    expect(page.locator("[data-live-state]")).to_have_text("Paused")
    expect(switch).to_have_attribute("aria-pressed", "true")
    sql("UPDATE places SET geom = 'SRID=4326;POINT(9 50.4)' WHERE id = 1")
    page.keyboard.press("Enter")
    wait_until_live(page)
    wait_for_point(page, 9, 50.4)
    expect(switch).to_be_focused()


def test_the_focus_stays_where_it_is_when_rows_change(visit: Visiting, sql: Sql) -> None:
    page = watch(visit())
    page.get_by_role("link", name="3", exact=True).focus()
    sql("UPDATE places SET name = 'other' WHERE id = 1; DELETE FROM places WHERE id = 2")
    expect(page.get_by_role("row", name="other")).to_be_visible()
    expect(page.get_by_role("link", name="3", exact=True)).to_be_focused()
    sql("UPDATE places SET name = 'third' WHERE id = 3")
    expect(page.get_by_role("row", name="third")).to_be_visible()
    expect(page.get_by_role("link", name="3", exact=True)).to_be_focused()
    sql("DELETE FROM places WHERE id = 3")
    expect(page.get_by_role("region", name="Features", exact=True)).to_be_focused()


def test_a_tab_that_nobody_looks_at_takes_no_connection(
    visit: Visiting, sql: Sql, served: Running
) -> None:
    page = watch(visit())
    hide = "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
    page.evaluate(f"{hide} document.dispatchEvent(new Event('visibilitychange')); }}", arg=True)
    sql("UPDATE places SET geom = 'SRID=4326;POINT(9 50.4)' WHERE id = 1")
    with page.expect_request(re.compile("/changes.*last-event-id=")):
        page.evaluate(
            f"{hide} document.dispatchEvent(new Event('visibilitychange')); }}", arg=False
        )
    wait_for_point(page, 9, 50.4)


def test_changes_flash_unless_somebody_wants_no_motion(visit: Visiting, sql: Sql) -> None:
    flashes = """() => {
      const { map } = document.querySelector("[data-map]");
      window.flashes = [];
      const mark = map.setFeatureState.bind(map);
      map.setFeatureState = (place, state) => { window.flashes.push(state); mark(place, state); };
    }"""
    for motion, wanted in (("no-preference", True), ("reduce", False)):
        page = watch(visit(reduced_motion=motion))
        page.evaluate(flashes)
        sql(f"UPDATE places SET name = '{motion}' WHERE id = 1")
        row = page.locator("tr.changed")
        expect(row).to_contain_text(motion)
        animated = row.locator("td").first.evaluate("each => getComputedStyle(each).animationName")
        assert (animated == "changed") is wanted
        assert bool(page.evaluate("window.flashes.some(each => each.changed)")) is wanted


def follow_hint(visited: Visit) -> None:
    """Reads the page again by the link of its hint."""
    with visited.page.expect_event("load"):
        visited.page.get_by_role("link", name="Reload").click()
    visited.wait_for_map()


def test_the_page_of_a_feature_says_when_it_is_another_one(visit: Visiting, sql: Sql) -> None:
    visited = visit()
    page = visited.open(f"{PLACES}/2")
    hint = page.locator("[data-words]")
    with page.expect_request(re.compile("/changes")) as asked:
        page.reload()
    assert "bbox" in parse_qs(urlsplit(asked.value.url).query)
    sql("UPDATE places SET name = 'not this one' WHERE id = 3")
    sql("UPDATE places SET name = 'renamed', geom = 'SRID=4326;POINT(0 0)' WHERE id = 2")
    expect(hint).to_have_text("This feature has changed.")
    follow_hint(visited)
    expect(page.get_by_role("row", name="name renamed")).to_be_visible()
    expect(hint).to_be_hidden()
    sql(
        "UPDATE places SET name = name WHERE id = 2; INSERT INTO places SELECT n FROM"
        " generate_series(101, 1200) n"
    )
    expect(hint).to_have_text("This feature has changed.")
    follow_hint(visited)
    with page.expect_response(re.compile(f"{PLACES}/2.*geojson")):
        sql("UPDATE places SET geom = 'SRID=4326;POINT(0 0)' WHERE id > 2")
    expect(hint).to_be_hidden()
    with page.expect_response(re.compile(f"{PLACES}/2.*geojson")):
        sql("UPDATE places SET name = 'bulk'")
    expect(hint).to_have_text("This feature has changed.")
    follow_hint(visited)
    expect(hint).to_be_hidden()
    sql("DELETE FROM places WHERE id = 2")
    expect(hint).to_have_text("This feature was deleted.")


def test_a_page_whose_table_is_published_no_more_says_so(
    visit: Visiting, url: str, sql: Sql
) -> None:
    visited = visit()
    page = watch(visited)
    aside(lambda: unpublish_now(url, "places"))
    try:
        expect(page.locator("[data-live-state]")).to_have_text("Not live any more")
        expect(page.get_by_role("button", name="Pause live changes")).to_be_hidden()
    finally:
        aside(lambda: publish_now(url, "places"))


def test_what_is_not_published_and_what_has_no_javascript_is_as_before(
    visit: Visiting, sql: Sql
) -> None:
    page = visit().open("/collections/unwatched/items")
    assert page.locator("[data-live]").count() == 0
    page = visit(java_script_enabled=False).page
    page.goto(visit().base + PLACES)
    expect(page.locator("[data-live]")).to_be_hidden()
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    page.goto(visit().base + PLACES + "/2")
    expect(page.get_by_text("Reload")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_live_pages_fit_and_can_be_read(
    visit: Visiting, sql: Sql, scheme: str, size: ViewportSize
) -> None:
    visited = visit(viewport=size, color_scheme=scheme)
    page = watch(visited)
    page.mouse.click(*position(page, 10, 50))
    sql("UPDATE places SET name = 'changed' WHERE id = 2")
    expect(page.locator("tr.changed")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.evaluate(CONTRASTS) == []
    if folder := os.environ.get("GEOSVC_PICTURES"):
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=f"{folder}/{scheme}-{size['width']}.png")
    page = visited.open(f"{PLACES}/2")
    sql("UPDATE places SET name = 'changed again' WHERE id = 2")
    expect(page.locator("[data-words]")).to_be_visible()
    assert page.evaluate(CONTRASTS) == []
    if folder:
        page.screenshot(path=f"{folder}/item-{scheme}-{size['width']}.png")
