"""What tests do with a browser: headless Chromium, and visits that note everything they should not
have done.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)
SOFTWARE_WEBGL = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
DESK: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)  # a busy machine is no fault of a page


@dataclass
class Visit:
    """A page, and everything that it should not have done."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Notes what goes wrong."""
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", lambda request: self._note_request(request.url))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "status of 4" not in text and "GPU stall" not in text:
            self.faults.append(f"{kind}: {text}")

    def _note_request(self, url: str) -> None:
        if not url.startswith((f"{self.base}/", "data:", f"blob:{self.base}/")):
            self.faults.append(f"asked {url}")

    def open(self, path: str) -> Page:
        """Goes to a path, and waits until its map is drawn."""
        self.page.goto(self.base + path)
        self.wait_for_map()
        return self.page

    def wait_for_map(self) -> None:
        """Until the map says that it is drawn."""
        if self.page.locator("[data-map]").count():
            expect(self.page.locator("[data-map][data-state=ready]")).to_be_attached(
                timeout=PATIENCE_MS
            )

    def query(self) -> dict[str, str]:
        """The parameters of the address."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.page.url).query).items()}


Visiting = Callable[..., Visit]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Headless Chromium that draws WebGL in software."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(SOFTWARE_WEBGL))
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, base: str) -> Iterator[Visiting]:
    """Makes visits to a service; at the end none may have done what it should not."""
    visits: list[Visit] = []

    @contextmanager
    def context(options: dict[str, Any]) -> Iterator[BrowserContext]:
        made = browser.new_context(**options)
        made.set_default_timeout(PATIENCE_MS)
        yield made
        made.close()

    with ExitStack() as stack:

        def make(**options: Any) -> Visit:
            made = stack.enter_context(context({"viewport": DESK, **options}))
            visits.append(Visit(made.new_page(), base))
            visits[-1].watch()
            return visits[-1]

        yield make
        assert [fault for each in visits for fault in each.faults] == []


def position(page: Page, longitude: float, latitude: float) -> tuple[float, float]:
    """Where a place is on the screen, pixels."""
    page.locator("[data-canvas]").scroll_into_view_if_needed()
    x, y = page.evaluate(
        """([lng, lat]) => {
          const { map } = document.querySelector("[data-map]");
          const frame = map.getCanvas().getBoundingClientRect();
          const { x, y } = map.project([lng, lat]);
          return [frame.left + x, frame.top + y];
        }""",
        [longitude, latitude],
    )
    return x, y


def column(page: Page, number: int = 0) -> list[str]:
    """The texts of a column of the table of features; the first is the id."""
    cells = page.locator(f"[data-features-table] tbody tr > :nth-child({number + 1})")
    return [text.strip() for text in cells.all_inner_texts()]


CONTRASTS = """() => {
  const luminance = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(each => each / 255)
      .map(each => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = element => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (!/rgba\\(.*, 0\\)|transparent/.test(colour)) return colour;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const low = [];
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const own = [...element.childNodes].some(each => each.nodeType === 3 && each.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("#swagger")) continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(paper(element))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push([element.tagName, element.className, element.textContent.slice(0, 30)]);
  }
  return low;
}"""
