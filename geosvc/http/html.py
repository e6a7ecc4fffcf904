"""Pages for people: the frame of every page, and the headers that restrict what it can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import hdrs, web

from geosvc.assets import Assets
from geosvc.encode.html import write_page
from geosvc.errors import RequestError
from geosvc.http.keys import ASSETS, SETTINGS, TRACE
from geosvc.http.links import base_url
from geosvc.http.mounting import parts_of, prefix_of
from geosvc.http.problem import describe_problem, problem_headers
from geosvc.model.media_type import HTML, PROBLEM, MediaType
from geosvc.requests.negotiation import prefers
from geosvc.settings import Settings

ERROR_TYPES = (PROBLEM, HTML)

Others = Sequence[tuple[MediaType, str]]
"""The other representations of a resource: (media type, href)."""

_NAMES = {
    "api.html": "API",
    "collections": "Collections",
    "conformance": "Conformance",
    "functions": "Functions",
    "items": "Items",
    "queryables": "Queryables",
    "schema": "Schema",
    "sortables": "Sortables",
}
_ID_POSITIONS = (2, 4)
"""The parts of a path, from 1, that are ids of collections and features: shown as they are."""


@dataclass(frozen=True, slots=True)
class Page:
    """The frame of a page.

    Attributes:
        base: the root URL that clients see, as links and snippets have it.
        root: the same, relative to this page: it holds behind any proxy.
        path: the parts of the path.
        others: other representations.
    """

    base: str
    root: str
    path: Sequence[str]
    assets: Assets
    settings: Settings
    others: Others

    def asset(self, name: str) -> str:
        """The href of a file."""
        return f"{self.root}static/{self.assets.version}/{name}"

    def here(self, href: str) -> str:
        """An href of this service, relative to the page."""
        prefix = self.base + "/"
        if not href.startswith(prefix):
            return href
        return self.root + href.removeprefix(prefix)

    @property
    def crumbs(self) -> list[tuple[str, str]]:
        """(name, href) of each resource above this page, and of the page itself."""
        crumbs = [("Home", self.root)]
        href = self.root
        for position, part in enumerate(self.path, 1):
            if position > 1:
                href += "/"
            href += quote(part, safe="")
            name = part
            if position not in _ID_POSITIONS:
                name = _NAMES.get(part, part)
            crumbs.append((name, href))
        return crumbs


def _root(request: web.Request) -> str:
    depth = request.rel_url.raw_path.count("/") - prefix_of(request).count("/")
    return "../" * (depth - 1) or "./"


def security_headers(settings: Settings, base: str) -> dict[str, str]:
    """The headers that restrict a page.

    It may load what this service serves and the base map of the settings; no inline script runs.
    """
    map_origins = "".join(f" {origin}" for origin in settings.base_map_hosts)
    parts = urlsplit(base)
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self' blob:;"
        f" font-src 'self'; img-src 'self' data: blob:{map_origins};"
        f" connect-src 'self' {parts.scheme}://{parts.netloc}{map_origins}; form-action 'self';"
        " frame-ancestors 'self'; base-uri 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        # tile servers ask for the site, and need not know the query
        "Referrer-Policy": "strict-origin-when-cross-origin",
    }


def html_response(
    request: web.Request, template: str, others: Others = (), status: int = 200, **values: Any
) -> web.Response:
    """A page.

    Args:
        others: the other representations of the resource.
        values: of the template.
    Raises: InvalidParameter when Host cannot be part of a URL.
    """
    settings, base = request.app[SETTINGS], base_url(request)
    page = Page(base, _root(request), parts_of(request), request.app[ASSETS], settings, others)
    body = write_page(template, page=page, **values)
    headers = {hdrs.CONTENT_TYPE: HTML.content_type, **security_headers(settings, base)}
    return web.Response(body=body, status=status, headers=headers)


def wants_page(request: web.Request, offered: Sequence[MediaType]) -> bool:
    """Whether a request prefers a page to everything else that is offered."""
    accept, query = request.headers.get(hdrs.ACCEPT, "").lower(), request.rel_url.raw_query_string
    if "text/" not in accept and "q=" not in accept and "f=" not in query and "%" not in query:
        return False  # most programs: this takes 1 µs instead of 7
    if ASSETS not in request.app:
        return False
    return prefers(HTML, request.query.get("f"), request.headers.get(hdrs.ACCEPT), offered)


def problem_page(request: web.Request, error: RequestError) -> web.Response:
    """A page about an error. Raises: InvalidParameter when Host cannot be part of a URL."""
    problem = describe_problem(error, request[TRACE].request_id)
    response = html_response(request, "problem.html", status=error.status, problem=problem)
    response.headers.update(problem_headers(error))
    return response
