"""The landing page and what the API conforms to. Source: OGC 17-069r4 7.2 and 7.4."""

from collections.abc import Iterable

from aiohttp import web

from geosvc.handlers.documents import json_response, read_document_request
from geosvc.keys import CATALOG
from geosvc.links import base_url, conformance_links, landing_links
from geosvc.model.collection import Collection

CONFORMANCE = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/landing-page",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/json",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
)
WRITING = (
    "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/create-replace-delete",
    "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/update",
    "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/optimistic-locking-etags",
    "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/return-resource-representation-in-response",
    "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/handling",
    # as older drafts called them, which clients look for
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/create-replace-delete",
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/update",
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/optimistic-locking-etags",
)
LOCKING_BY_TIME = (
    "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/optimistic-locking-timestamps",
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/optimistic-locking-timestamps",
)


def conformance(collections: Iterable[Collection]) -> tuple[str, ...]:
    """The classes that hold: those of writing where something can be written."""
    writable = [each for each in collections if each.insertable or each.updatable or each.deletable]
    by_time = any(each.modified is not None for each in writable)
    return (*CONFORMANCE, *(WRITING if writable else ()), *(LOCKING_BY_TIME if by_time else ()))


async def get_landing_page(request: web.Request) -> web.Response:
    """Where everything else is."""
    read_document_request(request)
    return json_response(
        {
            "title": "geosvc",
            "description": "Spatial tables of a PostGIS database as GeoJSON.",
            "links": landing_links(base_url(request)),
        }
    )


async def get_conformance(request: web.Request) -> web.Response:
    """The conformance classes that hold."""
    read_document_request(request)
    classes = conformance(request.app[CATALOG].collections())
    return json_response({"conformsTo": classes, "links": conformance_links(base_url(request))})
