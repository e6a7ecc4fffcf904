"""The parameters of items and export as they are declared: what the OpenAPI description is made from, and what the parser in
`requests.items` knows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geosvc.requests.filters import FilterLanguage
from geosvc.requests.temporal import DATETIME_PATTERN

MAX_INT8 = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Declared:
    """A parameter as OpenAPI describes it."""

    name: str
    description: str
    schema: Mapping[str, Any]


FORMAT = Declared("f", "The media type by its short name; it beats the header Accept.", {"type": "string"})
DECLARED: Sequence[Declared] = (
    Declared(
        "bbox",
        "Only features that intersect this box: west, south, east, north (or with bottom and top as third and sixth), "
        "CRS84, degrees; with bbox-crs in the axis order and unit of that. West above east crosses the antimeridian. "
        "Features without a geometry match every box.",
        {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
    ),
    Declared(
        "bbox-crs",
        "The reference system of bbox: one of those that the collection lists. CRS84 by default.",
        {"type": "string", "format": "uri"},
    ),
    Declared(
        "crs",
        "The reference system of the coordinates of the answer: one of those that the collection lists. CRS84 by default.",
        {"type": "string", "format": "uri"},
    ),
    Declared(
        "datetime",
        "Only features whose time intersects this instant, date or interval (start/end, .. for open). Features without a "
        "time match every interval.",
        {"type": "string", "pattern": DATETIME_PATTERN},
    ),
    Declared("filter", "Only features of which this CQL2 expression is true.", {"type": "string"}),
    Declared(
        "filter-lang",
        "The encoding of the filter.",
        {"type": "string", "enum": list(FilterLanguage), "default": FilterLanguage.TEXT},
    ),
    Declared(
        "filter-crs",
        "The reference system of the geometries in the filter: one of those that the collection lists. CRS84 by default.",
        {"type": "string", "format": "uri"},
    ),
    Declared("limit", "Features of a page; more than the maximum gives the maximum.", {"type": "integer", "minimum": 1}),
    Declared(
        "offset",
        "Features to skip. Following the links `next` is faster and misses none.",
        {"type": "integer", "minimum": 0, "maximum": MAX_INT8},
    ),
    Declared(
        "startindex",
        "The same as offset, for clients that know it by this name.",
        {"type": "integer", "minimum": 0, "maximum": MAX_INT8},
    ),
    Declared(
        "cursor",
        "Where the page before ended; copied from a link `next`.",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    ),
    Declared(
        "sortby",
        "Names of columns, each with + (the default) or - before it.",
        {"type": "array", "items": {"type": "string"}},
    ),
    Declared("properties", "Only these properties.", {"type": "array", "items": {"type": "string"}}),
    Declared("skipGeometry", "Leaves the geometry out.", {"type": "boolean", "default": False}),
    Declared(
        "precision",
        "Digits behind the point of coordinates; 7 for degrees and 4 for metres by default.",
        {"type": "integer", "minimum": 0, "maximum": 15},
    ),
    Declared(
        "simplify",
        "Simplifies geometries by this tolerance in units of the storage CRS; metres for geography.",
        {"type": "number", "minimum": 0},
    ),
    Declared(
        "zoom-level",
        "Simplifies geometries to a pixel of this Web Mercator zoom level.",
        {"type": "integer", "minimum": 0, "maximum": 30},
    ),
    Declared(
        "count",
        "exact: numberMatched, however long it takes up to the time box. estimated: numberMatched where it is cheap, else "
        "numberMatchedEstimate. none: neither.",
        {"type": "string", "enum": ["exact", "estimated", "none"], "default": "estimated"},
    ),
    Declared(
        "bigint",
        "string: 64-bit whole numbers as text, for JavaScript, which cannot hold them.",
        {"type": "string", "enum": ["number", "string"], "default": "number"},
    ),
    FORMAT,
)
_OF_ITEM = frozenset({"crs", "properties", "skipGeometry", "precision", "simplify", "zoom-level", "bigint", "f"})
ITEM_DECLARED = tuple(each for each in DECLARED if each.name in _OF_ITEM)
_OF_SELECTIONS = frozenset({"bbox", "bbox-crs", "datetime", "filter", "filter-lang", "filter-crs"})
LAST_EVENT_ID = Declared(
    "last-event-id",
    "The id of the event to go on after, for a client that cannot send the header Last-Event-ID at first.",
    {"type": "string", "pattern": r"^[0-9a-f.-]+$"},
)
CHANGES_DECLARED = (
    *(each for each in DECLARED if each.name in (_OF_SELECTIONS | _OF_ITEM) - {"f"}),
    LAST_EVENT_ID,
)
"""The parameters of a stream of changes."""

PLACE_OF_PAGE = frozenset({"offset", "startindex", "cursor"})
PAGING = PLACE_OF_PAGE | {"limit", "count"}
