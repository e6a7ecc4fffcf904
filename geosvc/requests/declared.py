"""The declared parameters of items and export.

The OpenAPI description is made from them, and the parser in `requests.items` knows them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geosvc.requests.filters import FilterLanguage
from geosvc.requests.parameter_values import MAX_INT8
from geosvc.values.temporal import DATETIME_PATTERN


@dataclass(frozen=True, slots=True)
class Declared:
    """A parameter as OpenAPI describes it."""

    name: str
    description: str
    schema: Mapping[str, Any]


DEFAULT_CRS = "By default CRS84h if the geometries have heights, else CRS84."
"""The CRS of the parameter crs and of the header Content-Crs: `default_crs` of the collection."""

FORMAT = Declared(
    "f",
    "The short name of the media type. It takes precedence over the header Accept.",
    {"type": "string"},
)
DECLARED: Sequence[Declared] = (
    Declared(
        "bbox",
        "Only features that intersect this box: west, south, east, north (or with bottom and top "
        "as third and sixth), CRS84, degrees; with bbox-crs in the axis order and unit of that "
        "CRS. A box whose west is greater than its east crosses the antimeridian. Features "
        "without a geometry match every box.",
        {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
    ),
    Declared(
        "bbox-crs",
        "The reference system of bbox: one of those that the collection lists. By default CRS84.",
        {"type": "string", "format": "uri"},
    ),
    Declared(
        "crs",
        "The reference system of the coordinates of the response: one of those that the "
        f"collection lists. {DEFAULT_CRS}",
        {"type": "string", "format": "uri"},
    ),
    Declared(
        "datetime",
        "Only features whose time intersects this instant, date or interval (start/end, .. for "
        "open). Features without a time match every interval.",
        {"type": "string", "pattern": DATETIME_PATTERN},
    ),
    Declared("filter", "Only features for which this CQL2 expression is true.", {"type": "string"}),
    Declared(
        "filter-lang",
        "The encoding of the filter.",
        {"type": "string", "enum": list(FilterLanguage), "default": FilterLanguage.TEXT},
    ),
    Declared(
        "filter-crs",
        "The reference system of the geometries in the filter: one of those that the collection "
        "lists. By default CRS84.",
        {"type": "string", "format": "uri"},
    ),
    Declared(
        "limit",
        "The number of features of a page. A greater number than the maximum gives the maximum, "
        "and the response has the member limitApplied.",
        {"type": "integer", "minimum": 1},
    ),
    Declared(
        "offset",
        "The number of features to skip. To follow the links `next` is faster, and misses no "
        "feature.",
        {"type": "integer", "minimum": 0, "maximum": MAX_INT8},
    ),
    Declared(
        "startindex",
        "The same as offset, for clients that know it by this name.",
        {"type": "integer", "minimum": 0, "maximum": MAX_INT8},
    ),
    Declared(
        "cursor",
        "Where the previous page ended; copied from a link `next`.",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    ),
    Declared(
        "sortby",
        "Names of properties, each with + (the default) or - before it.",
        {"type": "array", "items": {"type": "string"}},
    ),
    Declared(
        "properties", "Only these properties.", {"type": "array", "items": {"type": "string"}}
    ),
    Declared("skipGeometry", "Leaves the geometry out.", {"type": "boolean", "default": False}),
    Declared(
        "precision",
        "Digits of coordinates behind the decimal point; 7 for degrees and 4 for metres by "
        "default.",
        {"type": "integer", "minimum": 0, "maximum": 15},
    ),
    Declared(
        "simplify",
        "Simplifies geometries by this tolerance in units of the storage CRS; in metres for "
        "geography.",
        {"type": "number", "minimum": 0},
    ),
    Declared(
        "zoom-level",
        "Simplifies geometries to a pixel of this Web Mercator zoom level.",
        {"type": "integer", "minimum": 0, "maximum": 30},
    ),
    Declared(
        "count",
        "exact: numberMatched, which may take as long as the time limit. estimated: numberMatched "
        "where it is cheap, else numberMatchedEstimate. none: neither.",
        {"type": "string", "enum": ["exact", "estimated", "none"], "default": "estimated"},
    ),
    Declared(
        "bigint",
        "string: 64-bit integers as text, for JavaScript, whose numbers cannot hold them.",
        {"type": "string", "enum": ["number", "string"], "default": "number"},
    ),
    FORMAT,
)
_OF_ITEM = frozenset(
    {"crs", "properties", "skipGeometry", "precision", "simplify", "zoom-level", "bigint", "f"}
)
ITEM_DECLARED = tuple(parameter for parameter in DECLARED if parameter.name in _OF_ITEM)
LAST_EVENT_ID = Declared(
    "last-event-id",
    "The id of the last event that was received; the stream continues after it. For clients that "
    "cannot send the header Last-Event-ID in their first request.",
    {"type": "string", "pattern": r"^[0-9a-f.-]+$"},
)
_SELECTING = frozenset({"bbox", "bbox-crs", "datetime", "filter", "filter-lang", "filter-crs"})
_OF_CHANGES = (_SELECTING | _OF_ITEM) - {"f"}
CHANGES_DECLARED = (
    *(parameter for parameter in DECLARED if parameter.name in _OF_CHANGES),
    LAST_EVENT_ID,
)
"""The parameters of a stream of changes."""

PLACE_OF_PAGE = frozenset({"offset", "startindex", "cursor"})
"""The parameters that say where a page begins."""
PAGING = PLACE_OF_PAGE | {"limit", "count"}
"""The parameters that only pages have."""
