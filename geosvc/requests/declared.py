"""The declared parameters of items and export.

The OpenAPI description is made from them, and the parser in `requests.items` knows them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from geosvc.requests.filters import FilterLanguage
from geosvc.requests.parameter_values import MAX_INT8
from geosvc.values.temporal import DATETIME_PATTERN

Concern = Literal["condition", "order", "start", "page", "style", "format"]
"""What a parameter of items decides.

- condition: which features match.
- order: in which order they come.
- start: where the page starts.
- page: what only pages have: their size and the count.
- style: which parts of a feature are written, and how.
- format: the media type.
"""


@dataclass(frozen=True, slots=True)
class Declared:
    """A parameter as OpenAPI describes it.

    Attributes:
        concerns: what a parameter of items decides; None for parameters of other resources.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    concerns: Concern | None = None


DEFAULT_CRS = "By default CRS84h if the geometries have heights, else CRS84."
"""The CRS of the parameter crs and of the header Content-Crs: `default_crs` of the collection."""

FORMAT = Declared(
    "f",
    "The short name of the media type. It takes precedence over the header Accept.",
    {"type": "string"},
    "format",
)
DECLARED: Sequence[Declared] = (
    Declared(
        "bbox",
        "Only features that intersect this box: west, south, east, north (or with bottom and top "
        "as third and sixth), CRS84, degrees; with bbox-crs in the axis order and unit of that "
        "CRS. A box whose west is greater than its east crosses the antimeridian. Features "
        "without a geometry match every box.",
        {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
        "condition",
    ),
    Declared(
        "bbox-crs",
        "The reference system of bbox: one of those that the collection lists. By default CRS84.",
        {"type": "string", "format": "uri"},
        "condition",
    ),
    Declared(
        "crs",
        "The reference system of the coordinates of the response: one of those that the "
        f"collection lists. {DEFAULT_CRS}",
        {"type": "string", "format": "uri"},
        "style",
    ),
    Declared(
        "datetime",
        "Only features whose time intersects this instant, date or interval (start/end, .. for "
        "open). Features without a time match every interval.",
        {"type": "string", "pattern": DATETIME_PATTERN},
        "condition",
    ),
    Declared(
        "filter",
        "Only features for which this CQL2 expression is true.",
        {"type": "string"},
        "condition",
    ),
    Declared(
        "filter-lang",
        "The encoding of the filter.",
        {"type": "string", "enum": list(FilterLanguage), "default": FilterLanguage.TEXT},
        "condition",
    ),
    Declared(
        "filter-crs",
        "The reference system of the geometries in the filter: one of those that the collection "
        "lists. By default CRS84.",
        {"type": "string", "format": "uri"},
        "condition",
    ),
    Declared(
        "limit",
        "The number of features of a page. A greater number than the maximum gives the maximum, "
        "and the response has the member limitApplied.",
        {"type": "integer", "minimum": 1},
        "page",
    ),
    Declared(
        "offset",
        "The number of features to skip. To follow the links `next` is faster, and misses no "
        "feature.",
        {"type": "integer", "minimum": 0, "maximum": MAX_INT8},
        "start",
    ),
    Declared(
        "startindex",
        "The same as offset, for clients that know it by this name.",
        {"type": "integer", "minimum": 0, "maximum": MAX_INT8},
        "start",
    ),
    Declared(
        "cursor",
        "Where the previous page ended; copied from a link `next`.",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
        "start",
    ),
    Declared(
        "sortby",
        "Names of properties, each with + (the default) or - before it.",
        {"type": "array", "items": {"type": "string"}},
        "order",
    ),
    Declared(
        "properties",
        "Only these properties.",
        {"type": "array", "items": {"type": "string"}},
        "style",
    ),
    Declared(
        "skipGeometry",
        "Leaves the geometry out.",
        {"type": "boolean", "default": False},
        "style",
    ),
    Declared(
        "precision",
        "Digits of coordinates behind the decimal point; 7 for degrees and 4 for metres by "
        "default.",
        {"type": "integer", "minimum": 0, "maximum": 15},
        "style",
    ),
    Declared(
        "simplify",
        "Simplifies geometries by this tolerance in units of the storage CRS; in metres for "
        "geography.",
        {"type": "number", "minimum": 0},
        "style",
    ),
    Declared(
        "zoom-level",
        "Simplifies geometries to a pixel of this Web Mercator zoom level.",
        {"type": "integer", "minimum": 0, "maximum": 30},
        "style",
    ),
    Declared(
        "count",
        "exact: numberMatched, which may take as long as the time limit. estimated: numberMatched "
        "where it is cheap, else numberMatchedEstimate. none: neither.",
        {"type": "string", "enum": ["exact", "estimated", "none"], "default": "estimated"},
        "page",
    ),
    Declared(
        "bigint",
        "string: 64-bit integers as text, for JavaScript, whose numbers cannot hold them.",
        {"type": "string", "enum": ["number", "string"], "default": "number"},
        "style",
    ),
    FORMAT,
)


def _concerning(*concerns: Concern) -> tuple[Declared, ...]:
    return tuple(parameter for parameter in DECLARED if parameter.concerns in concerns)


def _names(parameters: Iterable[Declared]) -> frozenset[str]:
    return frozenset(parameter.name for parameter in parameters)


LAST_EVENT_ID = Declared(
    "last-event-id",
    "The id of the last event that was received; the stream continues after it. For clients that "
    "cannot send the header Last-Event-ID in their first request.",
    {"type": "string", "pattern": r"^[0-9a-f.-]+$"},
)
ITEM_DECLARED = _concerning("style", "format")
"""The parameters of one item."""

CHANGES_DECLARED = (*_concerning("condition", "style"), LAST_EVENT_ID)
"""The parameters of a stream of changes."""

_STYLE_OF_TILES = {"bigint", "properties"}
_NOT_IN_TILES = {"bbox", "bbox-crs"}
TILE_DECLARED = tuple(
    parameter
    for parameter in DECLARED
    if parameter.name in _STYLE_OF_TILES
    or (parameter.concerns in ("condition", "format") and parameter.name not in _NOT_IN_TILES)
)
"""The parameters of a tile: those that select features, and which of their properties it has."""

PAGE_START = _names(_concerning("start"))
"""The names of the parameters that say where a page starts."""

PAGING = _names(_concerning("start", "page"))
"""The names of the parameters that only pages have."""

LISTS = frozenset(parameter.name for parameter in DECLARED if parameter.schema["type"] == "array")
"""The names of the parameters that are lists: with commas in a URL, as an array in a search."""
