"""Answers that are not streams: a document as JSON, or as an HTML page."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import hdrs, web

from geosvc.http.html import html_response
from geosvc.http.keys import CATALOG, TRACE
from geosvc.http.links import alternate_href
from geosvc.model.collection import Collection
from geosvc.model.media_type import DOCUMENT_TYPES, HTML, JSON, MediaType
from geosvc.requests.negotiation import negotiate_media_type
from geosvc.requests.parameter_values import refuse_unknown
from geosvc.requests.query_string import parse_query_string

FALLBACK_TEMPLATE = "document.html"


def query_of(request: web.Request) -> Mapping[str, str]:
    """The parameters of a request. Raises: InvalidParameter."""
    return parse_query_string(request.rel_url.raw_query_string)


async def collection_of(request: web.Request) -> Collection:
    """The collection in the path. Raises: NotFound, DatabaseUnavailable."""
    catalog = request.app[CATALOG]
    collection_id = request.match_info["collectionId"]
    collection = catalog.find(collection_id) or await catalog.collection(collection_id)
    request[TRACE].collection = collection.id
    return collection


def negotiate(
    request: web.Request, values: Mapping[str, str], offered: Sequence[MediaType]
) -> MediaType:
    """The media type that a request prefers. Raises: InvalidParameter, NotAcceptable."""
    accept = request.headers.get(hdrs.ACCEPT)
    return negotiate_media_type(values.get("f"), accept, offered)


def read_document_request(
    request: web.Request,
    known: frozenset[str] = frozenset({"f"}),
    offered: Sequence[MediaType] = DOCUMENT_TYPES,
) -> Mapping[str, str]:
    """The parameters of a request for a document.

    Raises: InvalidParameter, UnknownParameter, NotAcceptable.
    """
    values = query_of(request)
    refuse_unknown(values, known)
    negotiate(request, values, offered)
    return values


def json_response(document: object, media_type: MediaType = JSON) -> web.Response:
    """A document as JSON."""
    headers = {hdrs.CONTENT_TYPE: media_type.content_type}
    return web.Response(body=orjson.dumps(document), headers=headers)


def document_response(
    request: web.Request,
    document: Mapping[str, Any],
    template: str = FALLBACK_TEMPLATE,
    media_type: MediaType = JSON,
    **more: Any,
) -> web.Response:
    """A document in the representation that the request prefers: JSON, or a page.

    Args:
        template: of the page; it gets the document and `more`. The fallback shows any document.
        media_type: of the JSON.
    Raises: InvalidParameter, NotAcceptable.
    """
    values = query_of(request)
    preferred = negotiate(request, values, (media_type, HTML))
    if preferred is not HTML:
        return json_response(document, media_type)
    others = ((media_type, alternate_href(values, media_type)),)
    return html_response(request, template, others, document=document, **more)
