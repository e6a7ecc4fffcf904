"""The landing page and what the API conforms to. Source: OGC 17-069r4 7.2 and 7.4."""

from aiohttp import web

from geosvc.handlers.documents import json_response, read_document_request
from geosvc.links import base_url, conformance_links, landing_links

CONFORMANCE = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/landing-page",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/json",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
)


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
    return json_response({"conformsTo": CONFORMANCE, "links": conformance_links(base_url(request))})
