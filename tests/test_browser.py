"""The pages in a real browser: what is drawn, clicked, typed and reached by the keyboard; with and
without JavaScript, light and dark, on a phone and on a desk. No other host is asked, nothing is
blocked, the console stays empty.

With GEOSVC_SCREENSHOTS=1 the picture of the README is made anew.
"""

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, ViewportSize, expect

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
from tests.processes import Running, serving

PICTURES = Path(__file__).parent.parent / "docs" / "images"
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, sample_process: Running) -> Iterator[Visiting]:
    """Makes visits to the sample data; at the end none may have done what it should not."""
    with visiting(browser, sample_process.url) as make:
        yield make


def corners(page: Page) -> list[float]:
    """What stands in the four fields of the box."""
    return [
        float(page.get_by_label(name, exact=True).input_value())
        for name in ("West", "South", "East", "North")
    ]


def test_a_click_on_the_map_shows_the_attributes_of_a_feature(visit: Visiting) -> None:
    page = visit().open("/collections/countries/items?bbox=5,45,12,52&limit=20")
    page.mouse.click(*position(page, 10.5, 50.5))
    panel = page.locator("[data-panel]")
    expect(panel.get_by_role("heading")).to_have_text("DEU")
    expect(panel).to_contain_text("Federal Republic of Germany")
    expect(page.locator("tr.picked th")).to_contain_text("DEU")
    page.mouse.click(*position(page, 5.5, 47.2))
    expect(panel.get_by_role("heading")).to_have_text("FRA")
    panel.get_by_role("link", name="FRA").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("France")
    expect(page).to_have_title("France, countries FRA · geosvc")


@pytest.mark.parametrize(
    ("query", "west", "east", "seen"),
    [
        ("limit=50", -70, 70, [(25, 62), (20, 0), (-60, -15), (105, 35)]),
        ("adm0_a3=FJI", 175, 185, [(178, -18)]),
    ],
)
def test_the_map_is_centred_on_the_features(
    visit: Visiting, query: str, west: float, east: float, seen: list[tuple[float, float]]
) -> None:
    page = visit().open(f"/collections/countries/items?{query}")
    centre = page.evaluate("document.querySelector('[data-map]').map.getCenter().lng")
    assert west <= centre <= east or west <= centre + 360 <= east
    frame = page.locator("[data-canvas]").bounding_box()
    assert frame is not None
    for place in seen:
        x, y = position(page, *place)
        assert 0 <= x - frame["x"] <= frame["width"], place
        assert 0 <= y - frame["y"] <= frame["height"], place


def test_the_attributes_take_room_beside_the_map_while_there_are_some(visit: Visiting) -> None:
    page = visit().open("/collections/countries/items?limit=3")
    panel, canvas = page.locator("[data-panel]"), page.locator("[data-canvas]")

    def width(locator: Locator) -> float:
        box = locator.bounding_box()
        return box["width"] if box else 0

    expect(panel).to_be_hidden()
    alone = width(canvas)
    page.locator("[data-features-table] tbody button").first.click()
    expect(panel).to_be_visible()
    assert width(canvas) < alone
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()
    assert width(canvas) == alone


def test_a_box_is_drawn_and_sent_and_paged(visit: Visiting) -> None:
    visited = visit()
    page = visited.open("/collections/cities/items?limit=5&properties=name")
    page.get_by_role("button", name="Draw on the map").click()
    page.locator("[data-canvas]").scroll_into_view_if_needed()
    frame = page.locator("[data-canvas] canvas").bounding_box()
    assert frame is not None
    left, top, right, bottom = frame["x"] + 40, frame["y"] + 60, frame["x"] + 300, frame["y"] + 260
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 50, top + 50)
    page.mouse.move(right, bottom)
    page.mouse.up()
    expect(page.get_by_role("button", name="Draw on the map")).to_have_attribute(
        "aria-pressed", "false"
    )
    west, south, east, north = drawn = corners(page)
    assert position(page, west, north) == pytest.approx((left, top), abs=1.5)
    assert position(page, east, south) == pytest.approx((right, bottom), abs=1.5)
    page.get_by_role("button", name="Show features").click()
    visited.wait_for_map()
    query = visited.query()
    assert [float(each) for each in query["bbox"].split(",")] == drawn
    assert {"limit", "properties"} <= query.keys()
    assert not any(name.startswith("form.") for name in query)
    first = column(page)
    assert len(first) == 5
    page.get_by_role("link", name="Next page").first.click()
    visited.wait_for_map()
    expect(page.get_by_role("link", name="First page").first).to_be_visible()
    second = column(page)
    assert len(second) == 5
    assert not set(first) & set(second)


def test_the_features_of_a_page_are_on_the_map(visit: Visiting) -> None:
    page = visit().open("/collections/streets/items?limit=50")
    drawn = page.evaluate(
        """() => {
          const { map } = document.querySelector("[data-map]");
          const found = map.queryRenderedFeatures({ layers: ["feature-line", "feature-spot"] });
          return new Set(found.map(each => each.id)).size;
        }"""
    )
    assert drawn == 50
    page.get_by_role("button", name=re.compile("Show .* on the map")).nth(3).click()
    expect(page.locator("[data-panel] h2")).to_have_text(column(page)[3])


def test_large_geometries_come_as_simple_as_the_zoom_lets_one_see(visit: Visiting) -> None:
    visited = visit()
    page = visited.page
    levels: list[int] = []
    page.on(
        "request",
        lambda request: levels.extend(
            map(int, parse_qs(urlsplit(request.url).query).get("zoom-level", []))
        ),
    )

    def make_heavy(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(
            response=answer, body=answer.text().replace("data-map ", "data-map data-heavy ")
        )

    page.route(f"{visited.base}/collections/countries/items?adm0_a3=NOR", make_heavy)
    visited.open("/collections/countries/items?adm0_a3=NOR")
    assert len(levels) in (1, 2)
    with page.expect_request(lambda request: "zoom-level" in request.url):
        page.evaluate(
            "document.querySelector('[data-map]').map.jumpTo({ center: [10, 60], zoom: 9 })"
        )
    assert levels == sorted(set(levels))
    assert levels[-1] == 11


PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
STYLE = {
    "version": 8,
    "sources": {},
    "layers": [{"id": "sand", "type": "background", "paint": {"background-color": "#eed"}}],
}


@pytest.mark.parametrize(
    "base_map",
    ["https://tiles.example.org/{z}/{x}/{y}.png", "https://tiles.example.org/style.json"],
)
def test_a_base_map_of_the_settings_is_behind_the_features(
    browser: Browser, sample_url: str, base_map: str
) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        headers = {"Access-Control-Allow-Origin": "*"}
        if route.request.url.endswith(".json"):
            route.fulfill(json=STYLE, headers=headers)
        else:
            route.fulfill(body=PIXEL, content_type="image/png", headers=headers)

    with serving(sample_url, base_map=base_map, base_map_attribution="© Tiles of ours") as running:
        visited = Visit(browser.new_page(viewport=DESK), running.url)
        visited.watch()
        visited.page.route("https://tiles.example.org/**", answer)
        page = visited.open("/collections/countries/items?adm0_a3=CHE")
        assert asked
        expect(page.get_by_text("© Tiles of ours")).to_be_visible()
        page.mouse.click(*position(page, 8, 46.8))
        expect(page.locator("[data-panel]")).to_contain_text("Switzerland")
        assert [fault for fault in visited.faults if "tiles.example.org" not in fault] == []
        page.close()


def test_conditions_are_added_and_sent(visit: Visiting) -> None:
    visited = visit()
    page = visited.open("/collections/countries/items?limit=50")
    page.get_by_label("Property").select_option("continent")
    page.get_by_label("Value").fill("Europe")
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("Property").nth(1).select_option("mapcolor7")
    page.get_by_label("Value").nth(1).fill("1")
    page.get_by_label("Value").nth(1).press("Enter")
    visited.wait_for_map()
    query = visited.query()
    assert (query["continent"], query["mapcolor7"], query["limit"]) == ("Europe", "1", "50")
    assert 0 < len(column(page)) < 30
    page.get_by_label("Property").nth(2).select_option("pop_est")
    page.get_by_label("Comparison").nth(2).select_option("is more than")
    page.get_by_label("Value").nth(2).fill("20000000")
    page.get_by_label("Value").nth(2).press("Enter")
    visited.wait_for_map()
    assert visited.query()["filter"] == '"pop_est" > 20000000'
    assert page.get_by_label("Filter").input_value() == '"pop_est" > 20000000'
    assert 0 < len(column(page)) < 5
    page.get_by_label("Value").first.fill("Atlantis")
    page.get_by_role("button", name="Show features").click()
    expect(page.get_by_text("No feature matches")).to_be_visible()


def test_what_is_wrong_is_told_beside_the_form(visit: Visiting) -> None:
    page = visit().open("/collections/countries/items")
    page.get_by_label("Property").select_option("pop_est")
    page.get_by_label("Value").fill("many")
    page.get_by_role("button", name="Show features").click()
    expect(page.get_by_role("alert")).to_contain_text("whole number")
    assert page.get_by_label("Value").first.input_value() == "many"
    page.get_by_label("Value").first.fill("")
    page.get_by_label("Property").first.select_option("")
    page.get_by_label("Filter").fill("pop_est > > 3")
    page.get_by_role("button", name="Show features").click()
    expect(page.get_by_role("alert")).to_contain_text("at character 11")
    assert page.get_by_label("Filter").input_value() == "pop_est > > 3"


NAME = "each => each.getAttribute('aria-label') || each.labels?.[0]?.innerText || each.innerText || each.name"


def has_focus_ring(focused: Locator) -> bool:
    """Whether somebody can see where the focus is."""
    return bool(focused.evaluate("each => getComputedStyle(each).outlineStyle !== 'none'"))


def test_everything_is_reached_by_the_keyboard(visit: Visiting) -> None:
    visited = visit()
    page = visited.open("/collections/countries/items?limit=2&properties=name")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    seen: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if not focused.count():
            break
        name = focused.evaluate(NAME)
        assert has_focus_ring(focused), name
        seen.append(str(name).strip())
    order = [
        "West", "North", "Draw on the map", "Use the map's view", "Property", "Value", "Show features",
        "Features on a map", "Next page", "name", "Show AFG on the map", "AFG",
    ]  # fmt: skip
    places = [
        next((place for place, name in enumerate(seen) if name.startswith(each)), None)
        for each in order
    ]
    assert None not in places, (seen, places)
    assert places == sorted(places, key=lambda place: place or 0)
    page.get_by_label("West", exact=True).focus()
    for number in ("5", "45", "12", "52"):
        page.keyboard.type(number)
        page.keyboard.press("Tab")
    page.get_by_label("North", exact=True).press("Enter")
    visited.wait_for_map()
    assert visited.query()["bbox"] == "5,45,12,52"
    page.get_by_role("button", name="Show AUT on the map").press("Enter")
    expect(page.locator("[data-panel]")).to_contain_text("Austria")


def test_the_view_of_the_map_becomes_the_box(visit: Visiting) -> None:
    page = visit().open("/collections/countries/items?adm0_a3=CHE")
    page.get_by_role("button", name="Use the map's view").press("Enter")
    west, south, east, north = corners(page)
    assert -5 < west < 6
    assert 40 < south < 46
    assert 10 < east < 25
    assert 47.5 < north < 55
    page.get_by_role("button", name="Clear").click()
    assert page.get_by_label("West", exact=True).input_value() == ""


def test_without_javascript_everything_is_there_but_the_map(visit: Visiting) -> None:
    visited = visit(java_script_enabled=False)
    page = visited.page
    page.goto(f"{visited.base}/")
    page.get_by_role("link", name="countries", exact=True).first.click()
    page.get_by_role("link", name="View the features").click()
    expect(page.get_by_text("The map needs JavaScript")).to_be_visible()
    for name, number in (("West", "5"), ("South", "45"), ("East", "12"), ("North", "52")):
        page.get_by_label(name, exact=True).fill(number)
    page.get_by_label("Property").select_option("continent")
    page.get_by_label("Value").fill("Europe")
    page.get_by_label("Features per page").fill("4")
    page.get_by_role("button", name="Show features").click()
    assert visited.query() == {"bbox": "5,45,12,52", "continent": "Europe", "limit": "4"}
    assert column(page) == ["AUT", "BEL", "CHE", "DEU"]
    page.get_by_role("link", name="Next page").first.click()
    assert column(page) == ["FRA", "ITA", "LIE", "LUX"]
    page.get_by_role("link", name="LUX").click()
    expect(page.get_by_role("row", name="name Luxembourg")).to_be_visible()
    page.get_by_role("link", name="API").click()
    expect(
        page.get_by_role("row", name="GET /collections All collections, each with")
    ).to_be_visible()


def test_copying_a_snippet_and_finding_a_collection(visit: Visiting) -> None:
    visited = visit(permissions=["clipboard-read", "clipboard-write"])
    page = visited.open("/collections/cities")
    page.get_by_role("button", name="Copy for geopandas").click()
    expect(page.get_by_role("button", name="Copy for geopandas")).to_have_text("Copied")
    assert f'"OAPIF:{visited.base}/", layer="cities"' in page.evaluate(
        "navigator.clipboard.readText()"
    )
    page = visited.open("/collections")
    page.get_by_label("Search").fill("openstreetmap hel")
    expect(page.get_by_role("row", name=re.compile("buildings"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("cities"))).to_be_hidden()
    expect(page.get_by_role("status")).to_have_text("1 of 4")


def test_the_snippet_for_maplibre_draws_the_collection(visit: Visiting) -> None:
    visited = visit()
    page = visited.open("/collections/cities")
    code = page.locator("[data-copy=MapLibre] code").inner_text()
    page.evaluate(
        f"() => {{ const {{ map }} = document.querySelector('[data-map]'); {code} map.fire('load'); }}"
    )
    drawn = "document.querySelector('[data-map]').map.queryRenderedFeatures({ layers: ['cities'] }).length > 100"
    page.wait_for_function(f"() => {drawn}")


def test_the_api_is_tried_out_in_swagger_ui(visit: Visiting) -> None:
    page = visit().open("/api.html")
    expect(page.locator("#swagger[data-state=ready]")).to_be_visible(timeout=PATIENCE_MS)
    page.locator("#operations-tag-Capabilities").click()
    page.locator(".opblock-summary-control").filter(has_text="/conformance").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table")).to_contain_text("conformsTo", timeout=PATIENCE_MS)
    beside = "all => all.map(each => each.getBoundingClientRect().left - each.parentElement.getBoundingClientRect().left)"
    offsets = page.locator("#swagger .renderedMarkdown p").evaluate_all(beside)
    assert offsets
    assert max(map(abs, offsets)) < 1  # descriptions begin where the rest does


READABLE = (
    "/",
    "/collections",
    "/collections/buildings",
    "/collections/buildings/schema",
    "/collections/buildings/items",
    "/collections/buildings/items/-7042118",
    "/collections/countries/items?limit=3",
    "/collections/countries/items?bbox=1",
    "/functions",
    "/conformance",
    "/nowhere",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_pages_fit_and_can_be_read(visit: Visiting, scheme: str, size: ViewportSize) -> None:
    visited = visit(viewport=size, color_scheme=scheme)
    for path in READABLE:
        page = visited.page
        page.goto(visited.base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
        assert page.evaluate(CONTRASTS) == [], path
    visited.open("/collections/countries/items?limit=3")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")


def test_on_a_phone_the_features_come_before_the_form(visit: Visiting) -> None:
    page = visit(viewport=PHONE, has_touch=True, is_mobile=True).open(
        "/collections/countries/items?limit=3"
    )
    expect(page.get_by_label("West", exact=True)).to_be_hidden()
    page.get_by_text("Query", exact=True).tap()
    expect(page.get_by_label("West", exact=True)).to_be_visible()


@pytest.mark.skipif(
    "GEOSVC_SCREENSHOTS" not in os.environ, reason="makes the picture of the README on demand"
)
def test_the_picture_of_the_readme(visit: Visiting) -> None:
    page = visit(viewport={"width": 1280, "height": 1240}).open(
        "/collections/cities/items?bbox=-12,35,32,61&filter=population%20%3E%201000000&sortby=-population&limit=50"
        "&properties=name,country_code,population,timezone"
    )
    page.mouse.click(*position(page, -0.12574, 51.50853))
    expect(page.locator("[data-panel]")).to_contain_text("London")
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("document.querySelector('[data-map]').map.areTilesLoaded()")
    page.screenshot(path=PICTURES / "cities.png")
