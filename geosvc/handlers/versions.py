"""Answers about published tables: what they are kept by, the weak ETag of their version, 304, and how a kept one is sent.

Weak, since a page that was made twice at the same version differs in its time stamp. Source: RFC 9110 8.8.1 and 13.1.2.
"""

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import hdrs, web

from geosvc import __version__
from geosvc.database.counts import Count
from geosvc.encode.compression import CODINGS, COMPRESS_FROM_BYTES
from geosvc.handlers.pages import Reading, count_matching
from geosvc.handlers.validators import CACHE_CONTROL
from geosvc.keys import CACHE, CATALOG, COUNTS, SETTINGS, TRACE
from geosvc.live.body import Body
from geosvc.live.cache import READER, Kind, Question, question
from geosvc.model.collection import Collection
from geosvc.query.functions import is_steady
from geosvc.query.paging import PageEnd
from geosvc.requests.items import GeometryStyle, ItemsRequest
from geosvc.requests.negotiation import negotiate_coding
from geosvc.requests.preconditions import parse_preconditions, tag_of_coding

UNVERSIONED: dict[str, str] = {hdrs.CACHE_CONTROL: CACHE_CONTROL}
VARY: dict[str, str] = {hdrs.VARY: "Accept, Accept-Encoding"}
_COUNT_BYTES = 64


def question_about(request: web.Request, kind: Kind, collection: Collection, *parts: object) -> Question | None:
    """A question about a collection; None when its answers have no version: it is not published, or policies decide which
    rows there are, and they change without it. The catalog, the settings and the service itself decide what the answer is, too.
    """
    if collection.publication is None or collection.row_security:
        return None
    settings = request.app[SETTINGS].collections.get(collection.id)
    surroundings = (__version__, request.app[CATALOG].catalog.fingerprint, settings, collection.id)
    return question(kind, collection.publication.id, READER, *surroundings, *parts)


def page_question(request: web.Request, reading: Reading) -> Question | None:
    """What pages are kept by; None when they have no version: the collection is not published, or the filter goes by the
    time of day.

    A media type that was asked for by name is named in the links, too.
    """
    wanted = reading.wanted
    if wanted.filter is not None and not is_steady(wanted.filter.condition):
        return None
    parts = (wanted, reading.media_type.essence, reading.values.get("f"), reading.base)
    return question_about(request, "page", reading.collection, *parts)


async def count_at_version(
    request: web.Request, reading: Reading, token: int | None, end: PageEnd | None = None
) -> Count | None:
    """`count_matching`, which all pages of the same features share at a version. Raises: RequestError."""
    if token is None:
        return await count_matching(request, reading, end)
    wanted, cache = reading.wanted, request.app[CACHE]
    large = wanted.count == "estimated" and (wanted.limit or 0) >= request.app[SETTINGS].count_exact_rows  # is not counted
    asked = question_about(request, "count", reading.collection, large, _selection(wanted))

    async def count() -> Count | None:
        if asked is None:
            return await request.app[COUNTS].matching(reading.collection, wanted)
        return await cache.share(asked, token, lambda: request.app[COUNTS].matching(reading.collection, wanted), weigh)

    def weigh(counted: Count | None) -> int | None:
        return _COUNT_BYTES if is_whole(wanted, counted) else None

    return await count_matching(request, reading, end, count)


def is_whole(wanted: ItemsRequest, count: Count | None) -> bool:
    """Whether a count is what was asked for, and not what the time box left of it."""
    return wanted.count != "exact" or count is None or count.exact


def _selection(wanted: ItemsRequest) -> ItemsRequest:
    """What of a request decides which features match."""
    return replace(
        wanted, limit=None, offset=0, cursor=None, sortby=(), properties=None, geometry=GeometryStyle(), bigint_as_text=False
    )


def is_known(headers: Mapping[str, str], etag: str) -> bool:
    """Whether a client has the representation with this weak ETag. Raises: InvalidParameter."""
    known = headers.get(hdrs.IF_NONE_MATCH)
    if known is None or known == etag:
        return known is not None
    tags = parse_preconditions(headers).none_match
    return tags is not None and (tags == "*" or etag[3:-1] in tags)


def not_modified(etag: str) -> web.Response:
    """The answer to those who have it."""
    return Ready(status=304, headers={"ETag": etag, **UNVERSIONED, **VARY})


class Ready(web.Response):
    """A response that is compressed already where that is wanted, and says what it varies by."""


def kept_response(request: web.Request, asked: Question, body: Body) -> web.Response:
    """A response with a kept body, in the content coding that the client takes."""
    request[TRACE].bytes = len(body.plain)
    coding = negotiate_coding(request.headers.get(hdrs.ACCEPT_ENCODING), CODINGS)
    if coding is None or len(body.plain) < COMPRESS_FROM_BYTES:
        return Ready(body=body.plain, headers=body.headers)
    coded, more_bytes = body.coded(coding)
    if more_bytes:
        request.app[CACHE].grew(asked, body, more_bytes)
    response = Ready(body=coded, headers=body.headers)
    response.headers[hdrs.CONTENT_ENCODING] = coding
    response.headers["ETag"] = tag_of_coding(body.headers["ETag"], coding)
    return response
