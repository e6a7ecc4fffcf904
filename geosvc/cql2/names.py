"""The names of the operators and geometry types of CQL2.

Names are in upper case here, as in CQL2 text. CQL2 JSON writes them in lower or camel case.
"""

from collections.abc import Mapping

from geosvc.cql2.tree import (
    ArithmeticOperator,
    ArrayOperator,
    ComparisonOperator,
    SpatialOperator,
    TemporalOperator,
)

COMPARISONS: Mapping[str, ComparisonOperator] = {
    "=": "=",
    "<>": "<>",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
SUMS: Mapping[str, ArithmeticOperator] = {
    "+": "+",
    "-": "-",
}
PRODUCTS: Mapping[str, ArithmeticOperator] = {
    "*": "*",
    "/": "/",
    "%": "%",
    "DIV": "div",
}
SPATIAL: Mapping[str, SpatialOperator] = {
    "S_INTERSECTS": "intersects",
    "S_EQUALS": "equals",
    "S_DISJOINT": "disjoint",
    "S_TOUCHES": "touches",
    "S_WITHIN": "within",
    "S_OVERLAPS": "overlaps",
    "S_CROSSES": "crosses",
    "S_CONTAINS": "contains",
}
TEMPORAL: Mapping[str, TemporalOperator] = {
    "T_AFTER": "after",
    "T_BEFORE": "before",
    "T_CONTAINS": "contains",
    "T_DISJOINT": "disjoint",
    "T_DURING": "during",
    "T_EQUALS": "equals",
    "T_FINISHEDBY": "finishedby",
    "T_FINISHES": "finishes",
    "T_INTERSECTS": "intersects",
    "T_MEETS": "meets",
    "T_METBY": "metby",
    "T_OVERLAPPEDBY": "overlappedby",
    "T_OVERLAPS": "overlaps",
    "T_STARTEDBY": "startedby",
    "T_STARTS": "starts",
}
ARRAY: Mapping[str, ArrayOperator] = {
    "A_EQUALS": "equals",
    "A_CONTAINS": "contains",
    "A_CONTAINEDBY": "containedby",
    "A_OVERLAPS": "overlaps",
}
WKT: Mapping[str, str] = {  # to the types of GeoJSON
    "POINT": "Point",
    "LINESTRING": "LineString",
    "POLYGON": "Polygon",
    "MULTIPOINT": "MultiPoint",
    "MULTILINESTRING": "MultiLineString",
    "MULTIPOLYGON": "MultiPolygon",
    "GEOMETRYCOLLECTION": "GeometryCollection",
}
COORDINATE_DEPTH: Mapping[str, int] = {
    "Point": 0,
    "LineString": 1,
    "Polygon": 2,
    "MultiPoint": 1,
    "MultiLineString": 2,
    "MultiPolygon": 3,
}
"""How many lists are around each position in the `coordinates` of a GeoJSON geometry."""
