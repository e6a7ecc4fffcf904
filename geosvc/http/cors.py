"""What web pages of other origins may do. A browser names the origin of a page; other programs do
not.

Source: the Fetch standard 3.3, Fetch Metadata Request Headers.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from geosvc.errors import Forbidden
from geosvc.http.keys import SETTINGS

PREFLIGHT_SECONDS = "86400"
_CHANGING = (hdrs.METH_PUT, hdrs.METH_PATCH, hdrs.METH_DELETE)
_READING = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS, hdrs.METH_POST)  # POST is a search


def refuse_foreign_writes(request: web.Request) -> None:
    """Allows writes to own pages, to pages of CORS_ORIGINS, and to programs other than browsers.

    Where PUBLIC_URL is set, only its pages are own pages. Otherwise the Host of the request tells
    which pages are, and that can be forged: a foreign page whose host name resolves to this service
    sends its own name as Host (DNS rebinding).

    Raises: Forbidden.
    """
    settings = request.app[SETTINGS]
    own_host = request.host
    if settings.public_url is not None:
        own_host = host_of(settings.public_url)
    _refuse_others(request, (own_host,), settings.cors_origins)


def refuse_other_origins(request: web.Request) -> None:
    """Allows pages of the admin listener, pages of PUBLIC_URL, and programs other than browsers.

    The admin listener answers only to its own names, so its Host can be trusted.

    Raises: Forbidden.
    """
    own_hosts = [request.host]
    public_url = request.app[SETTINGS].public_url
    if public_url is not None:
        own_hosts.append(host_of(public_url))
    _refuse_others(request, own_hosts)


def _refuse_others(
    request: web.Request, own_hosts: Sequence[str], allowed_origins: Sequence[str] = ()
) -> None:
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and origin in allowed_origins:
        return
    is_foreign = origin is not None and urlsplit(origin).netloc not in own_hosts
    site = request.headers.get("Sec-Fetch-Site", "none")
    if is_foreign or site not in ("same-origin", "none"):
        raise Forbidden(
            "a page of another origin may not do this, unless the service names its origin"
        )


def host_of(url: str) -> str:
    """The host and port of a URL as browsers write them in Origin.

    In lower case, without the default port of the scheme.
    """
    parts = urlsplit(url)
    default_port = ":443" if parts.scheme == "https" else ":80"
    return parts.netloc.lower().removesuffix(default_port)


def is_preflight(request: web.Request) -> bool:
    """Whether a request is a CORS preflight: an OPTIONS with Access-Control-Request-Method.

    Every other OPTIONS is for the resource itself.
    """
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )


def answer_preflight(request: web.Request) -> web.Response:
    """The methods that a page of another origin may use: writes only where the origin is allowed.

    Raises: Forbidden.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    allowed_origins = request.app[SETTINGS].cors_origins
    methods: tuple[str, ...] = _READING
    if origin in allowed_origins:
        methods = (*_READING, *_CHANGING)
    elif _would_write(request):
        raise Forbidden(
            "pages of this origin may read but not write: GEOSVC_CORS_ORIGINS does not name it"
        )
    allowed_headers = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "*")
    return web.Response(
        status=204,
        headers={
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(methods),
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: allowed_headers,
            hdrs.ACCESS_CONTROL_MAX_AGE: PREFLIGHT_SECONDS,
        },
    )


def _would_write(request: web.Request) -> bool:
    method = request.headers[hdrs.ACCESS_CONTROL_REQUEST_METHOD]
    if method == hdrs.METH_POST:
        return request.path.endswith("/items")
    return method in _CHANGING
