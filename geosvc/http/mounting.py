"""Where the service is mounted: at the root of a server, or under a prefix of an application."""

from aiohttp import web

LANDING_PAGE = "getLandingPage"


def prefix_of(request: web.Request) -> str:
    """Returns the path under which the service is mounted, as `/geo`; empty at the root."""
    landing_page = request.app.router.get(LANDING_PAGE)
    if landing_page is None:  # the admin listener has none, and is never mounted
        return ""
    return landing_page.canonical.rstrip("/")


def parts_of(request: web.Request) -> tuple[str, ...]:
    """Returns the decoded segments of the path below the prefix."""
    prefix_depth = prefix_of(request).count("/")
    segments = [part for part in request.rel_url.parts if part not in ("/", "")]
    return tuple(segments[prefix_depth:])
