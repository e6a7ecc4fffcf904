"""The landing page and what the API conforms to. Source: OGC 17-069r4 7.2 and 7.4."""

from collections.abc import Iterable

from aiohttp import web

from geosvc.encode.snippets import write_snippets
from geosvc.handlers.documents import document_response, read_document_request
from geosvc.handlers.validators import validated
from geosvc.keys import CATALOG
from geosvc.links import base_url, conformance_links, landing_links
from geosvc.model.collection import Collection
from geosvc.requests.property_parameters import takes_every_queryable

CONFORMANCE = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/landing-page",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/json",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
)
SCHEMAS = (
    "http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/schemas",
    "http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/advanced-property-roles",
    "http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/references",
    "http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/returnables-and-receivables",
    "http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/sortables",
    "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/schemas",  # as QGIS looks for it
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables",
)
FILTERING = (
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    *(
        f"http://www.opengis.net/spec/cql2/1.0/conf/{name}"
        for name in (
            "cql2-text",
            "cql2-json",
            "basic-cql2",
            "advanced-comparison-operators",
            "case-insensitive-comparison",
            "accent-insensitive-comparison",
            "basic-spatial-functions",
            "basic-spatial-functions-plus",
            "spatial-functions",
            "temporal-functions",
            "array-functions",
            "property-property",
            "functions",
            "arithmetic",
            "basic-spatial-operators",  # what QGIS before 3.44 takes for basic-spatial-functions
        )
    ),
)
QUERYABLES_AS_PARAMETERS = "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables-query-parameters"
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
    """The classes that hold: those of writing where something can be written; queryables as parameters unless a column has
    the name of another parameter.
    """
    collections = tuple(collections)
    writable = [each for each in collections if each.insertable or each.updatable or each.deletable]
    by_time = any(each.modified is not None for each in writable)
    return (
        *CONFORMANCE,
        *SCHEMAS,
        *FILTERING,
        *((QUERYABLES_AS_PARAMETERS,) if all(map(takes_every_queryable, collections)) else ()),
        *(WRITING if writable else ()),
        *(LOCKING_BY_TIME if by_time else ()),
    )


@validated
async def get_landing_page(request: web.Request) -> web.Response:
    """Where everything else is."""
    read_document_request(request)
    base, collections = base_url(request), request.app[CATALOG].collections()
    document = {
        "title": "geosvc",
        "description": "Spatial tables of a PostGIS database as GeoJSON.",
        "links": landing_links(base),
    }
    example = collections[0] if collections else None
    snippets = write_snippets(base, example) if example is not None else ()
    return document_response(request, document, "landing.html", collections=collections, example=example, snippets=snippets)


@validated
async def get_conformance(request: web.Request) -> web.Response:
    """The conformance classes that hold."""
    read_document_request(request)
    classes = conformance(request.app[CATALOG].collections())
    document = {"conformsTo": classes, "links": conformance_links(base_url(request))}
    return document_response(request, document, "conformance.html")
