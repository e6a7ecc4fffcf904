"""The conformance classes that the service implements. Source: OGC 17-069r4 7.4."""

from collections.abc import Iterable

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
_CQL2 = (
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
FILTERING = (
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    *(f"http://www.opengis.net/spec/cql2/1.0/conf/{name}" for name in _CQL2),
)
QUERYABLES_AS_PARAMETERS = (
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables-query-parameters"
)
WRITING = (
    "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/create-replace-delete",
    "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/update",
    "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/optimistic-locking-etags",
    (
        "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/"
        "return-resource-representation-in-response"
    ),
    "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/handling",
    # as older drafts called them, which clients look for
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/create-replace-delete",
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/update",
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/optimistic-locking-etags",
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/features",
)
_TILES = (
    "core",
    "tileset",
    "tilesets-list",
    "dataset-tilesets",
    "geodata-tilesets",
    "collections-selection",
    "datetime",
    "mvt",
    "oas30",
)
TILES = (
    *(f"http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/{name}" for name in _TILES),
    "http://www.opengis.net/spec/tms/2.0/conf/tilematrixset",
    "http://www.opengis.net/spec/tms/2.0/conf/json-tilematrixset",
)
LOCKING_BY_TIME = (
    "http://www.opengis.net/spec/ogcapi-common-5/1.0/conf/optimistic-locking-timestamps",
    "http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/optimistic-locking-timestamps",
)

ALL_CLASSES = frozenset(
    (
        *CONFORMANCE,
        *SCHEMAS,
        *FILTERING,
        QUERYABLES_AS_PARAMETERS,
        *TILES,
        *WRITING,
        *LOCKING_BY_TIME,
    )
)


def conformance(collections: Iterable[Collection], added: Iterable[str] = ()) -> tuple[str, ...]:
    """The classes that hold for these collections.

    Those of writing hold where something can be written; queryables as query parameters unless a
    column has the name of another parameter.

    Args:
        added: the classes of extensions.
    """
    collections = tuple(collections)
    classes = [*CONFORMANCE, *SCHEMAS, *FILTERING, *TILES]
    if all(map(takes_every_queryable, collections)):
        classes.append(QUERYABLES_AS_PARAMETERS)
    writable = [collection for collection in collections if _is_writable(collection)]
    if writable:
        classes += WRITING
    if any(collection.modified is not None for collection in writable):
        classes += LOCKING_BY_TIME
    return (*classes, *added)


def _is_writable(collection: Collection) -> bool:
    return collection.insertable or collection.updatable or collection.deletable
