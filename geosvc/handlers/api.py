"""The description of the API. Source: OGC 17-069r4 7.3."""

from dataclasses import dataclass, replace

import orjson
from aiohttp import hdrs, web

from geosvc.handlers.documents import query_of
from geosvc.keys import CATALOG, SETTINGS
from geosvc.links import base_url
from geosvc.model.catalog import Catalog
from geosvc.model.media_type import JSON, OPENAPI
from geosvc.openapi import describe_contents, describe_head
from geosvc.requests.items import Limits, refuse_unknown
from geosvc.requests.negotiation import negotiate_media_type

API_TYPES = (replace(OPENAPI, essence=OPENAPI.essence.partition(";")[0]), JSON)  # Accept is matched without attributes


@dataclass(slots=True)
class _Latest:
    """The contents for the catalog that was described last: 1,000 collections are megabytes, made once."""

    made_for: tuple[Catalog, Limits] | None = None
    text: bytes = b""

    def contents(self, catalog: Catalog, limits: Limits) -> bytes:
        if self.made_for is None or self.made_for[0] is not catalog or self.made_for[1] != limits:
            self.text = orjson.dumps(describe_contents(tuple(catalog.collections.values()), limits))
            self.made_for = catalog, limits
        return self.text


_latest = _Latest()


async def get_api(request: web.Request) -> web.Response:
    """What can be asked for, as OpenAPI 3.0."""
    values = query_of(request)
    refuse_unknown(values)
    media_type = negotiate_media_type(values.get("f"), request.headers.get(hdrs.ACCEPT), API_TYPES)
    settings = request.app[SETTINGS]
    contents = _latest.contents(request.app[CATALOG].catalog, Limits(settings.limit_default, settings.limit_max))
    body = orjson.dumps(describe_head(base_url(request)))[:-1] + b"," + contents[1:]
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: media_type.content_type})
