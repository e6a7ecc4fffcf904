"""JSON documents: what every handler that is no stream answers with."""

from collections.abc import Mapping

import orjson
from aiohttp import hdrs, web

from geosvc.keys import CATALOG, TRACE
from geosvc.model.collection import Collection
from geosvc.model.media_type import DOCUMENT_TYPES, JSON, MediaType
from geosvc.requests.items import refuse_unknown
from geosvc.requests.negotiation import negotiate_media_type
from geosvc.requests.query_string import parse_query_string


def query_of(request: web.Request) -> Mapping[str, str]:
    """The parameters of a request. Raises: InvalidParameter."""
    return parse_query_string(request.rel_url.raw_query_string)


async def collection_of(request: web.Request) -> Collection:
    """The collection in the path. Raises: NotFound, DatabaseUnavailable."""
    collection = await request.app[CATALOG].collection(request.match_info["collectionId"])
    request[TRACE].collection = collection.id
    return collection


def read_document_request(request: web.Request, known: frozenset[str] = frozenset({"f"})) -> Mapping[str, str]:
    """The parameters of a request for a JSON document.

    Raises: InvalidParameter, UnknownParameter, NotAcceptable.
    """
    values = query_of(request)
    refuse_unknown(values, known)
    negotiate_media_type(values.get("f"), request.headers.get(hdrs.ACCEPT), DOCUMENT_TYPES)
    return values


def json_response(document: object, media_type: MediaType = JSON) -> web.Response:
    """A document as JSON."""
    return web.Response(body=orjson.dumps(document), headers={hdrs.CONTENT_TYPE: media_type.content_type})
