"""Answers that are not streams: a document as JSON, or as an HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import hdrs, web

from geosvc.http.html import html_response
from geosvc.http.keys import CATALOG, PRINCIPAL, TRACE
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
    """The collection in the path, if the principal of the request sees it.

    Raises: NotFound, DatabaseUnavailable.
    """
    follower = request.app[CATALOG]
    principal = request[PRINCIPAL]
    collection_id = request.match_info["collectionId"]
    catalog = follower.current_for(principal)
    collection = None
    if catalog is not None:
        collection = catalog.collections.get(collection_id)
    if collection is None:  # it may have been made a moment ago
        collection = await follower.collection(principal, collection_id)
    request[TRACE].collection = collection.id
    return collection


def negotiate(
    request: web.Request, values: Mapping[str, str], offered: Sequence[MediaType]
) -> MediaType:
    """The media type that a request prefers. Raises: InvalidParameter, NotAcceptable."""
    accept = request.headers.get(hdrs.ACCEPT)
    return negotiate_media_type(values.get("f"), accept, offered)


@dataclass(frozen=True, slots=True)
class DocumentQuery:
    """A parsed request for a document.

    Attributes:
        values: the parameters.
        media_type: of the representation that the request prefers.
        json_type: of the representation in JSON, to which the page has a link.
    """

    values: Mapping[str, str]
    media_type: MediaType
    json_type: MediaType

    @property
    def is_for_page(self) -> bool:
        """Whether the request prefers the page."""
        return self.media_type is HTML


def parse_document_query(
    request: web.Request,
    known: frozenset[str] = frozenset({"f"}),
    offered: Sequence[MediaType] = DOCUMENT_TYPES,
) -> DocumentQuery:
    """Parses a request for a document and negotiates the representation.

    Args:
        known: the names of the parameters.
        offered: the media types of the document; a type of JSON comes first.
    Raises: InvalidParameter, UnknownParameter, NotAcceptable.
    """
    values = query_of(request)
    refuse_unknown(values, known)
    media_type = negotiate(request, values, offered)
    return DocumentQuery(values, media_type, json_type=offered[0])


def json_response(document: object, media_type: MediaType = JSON) -> web.Response:
    """A document as JSON."""
    headers = {hdrs.CONTENT_TYPE: media_type.content_type}
    return web.Response(body=orjson.dumps(document), headers=headers)


def document_response(
    request: web.Request,
    query: DocumentQuery,
    document: Mapping[str, Any],
    template: str = FALLBACK_TEMPLATE,
    **more: Any,
) -> web.Response:
    """A document in the representation that the request prefers: JSON, or a page.

    Args:
        template: of the page; it gets the document and `more`. The fallback shows any document.
    """
    if not query.is_for_page:
        return json_response(document, query.media_type)
    href = alternate_href(query.values, query.json_type)
    others = ((query.json_type, href),)
    return html_response(request, template, others, document=document, **more)
