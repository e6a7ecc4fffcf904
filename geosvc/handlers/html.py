"""Pages for people: what every one of them has, and the headers that keep it from doing anything else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import hdrs, web

from geosvc.assets import Assets
from geosvc.encode.html import write_page
from geosvc.errors import RequestError
from geosvc.keys import ASSETS, SETTINGS, TRACE
from geosvc.links import base_url
from geosvc.model.media_type import HTML, PROBLEM, MediaType
from geosvc.problem import describe_problem, problem_headers
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


@dataclass(frozen=True, slots=True)
class Page:
    """What the frame of a page is made of.

    Attributes:
        base: the root that clients see, as links and snippets have it.
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
        return self.root + href.removeprefix(self.base + "/") if href.startswith(self.base + "/") else href

    @property
    def crumbs(self) -> list[tuple[str, str]]:
        """(name, href) of what lies above this page, and of the page."""
        crumbs = [("Home", self.root)]
        for number, part in enumerate(self.path, 1):
            href = self.root + "/".join(quote(each, safe="") for each in self.path[:number])
            # the id of a collection or a feature stands for itself
            crumbs.append((part if number in (2, 4) else _NAMES.get(part, part), href))
        return crumbs


def _root(request: web.Request) -> str:
    return "../" * (request.rel_url.raw_path.count("/") - 1) or "./"


def security_headers(settings: Settings, base: str) -> dict[str, str]:
    """A page loads what this service serves, and the base map of the settings; nothing that stands in it can run."""
    elsewhere = "".join(f" {origin}" for origin in settings.base_map_hosts)
    own = "{0.scheme}://{0.netloc}".format(urlsplit(base))
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self' blob:; font-src 'self';"
        f" img-src 'self' data: blob:{elsewhere}; connect-src 'self' {own}{elsewhere}; form-action 'self';"
        " frame-ancestors 'self'; base-uri 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        # tile servers want to know the site, and need not know the query
        "Referrer-Policy": "strict-origin-when-cross-origin",
    }


def html_response(request: web.Request, template: str, others: Others = (), status: int = 200, **values: Any) -> web.Response:
    """A page.

    Args:
        others: the other representations of the resource.
        values: what the template shows.
    Raises: InvalidParameter when Host cannot be part of a URL.
    """
    settings, base = request.app[SETTINGS], base_url(request)
    path = [part for part in request.rel_url.parts if part not in ("/", "")]
    page = Page(base, _root(request), path, request.app[ASSETS], settings, others)
    headers = {hdrs.CONTENT_TYPE: HTML.content_type, **security_headers(settings, base)}
    return web.Response(body=write_page(template, page=page, **values), status=status, headers=headers)


def wants_page(request: web.Request, offered: Sequence[MediaType]) -> bool:
    """Whether a request is better served with a page than with anything else that is offered."""
    accept, query = request.headers.get(hdrs.ACCEPT, "").lower(), request.rel_url.raw_query_string
    if "text/" not in accept and "q=" not in accept and "f=" not in query and "%" not in query:
        return False  # programs, which are many: this takes 1 µs instead of 7
    return ASSETS in request.app and prefers(HTML, request.query.get("f"), request.headers.get(hdrs.ACCEPT), offered)


def problem_page(request: web.Request, error: RequestError) -> web.Response:
    """What went wrong, as a page. Raises: InvalidParameter when Host cannot be part of a URL."""
    problem = describe_problem(error, request[TRACE].request_id)
    response = html_response(request, "problem.html", status=error.status, problem=problem)
    response.headers.update(problem_headers(error))
    return response
