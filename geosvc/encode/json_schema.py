"""The JSON Schema (draft 2020-12) of the values of a column.

Source: OGC 23-058r2 7.2, 19-079r2 6.2; OpenAPI 3.1 for formats.
"""

import math
from collections.abc import Mapping
from typing import Any

from geosvc.model.collection import Column, GeometryColumn, TypedName
from geosvc.model.value_bounds import UNBOUNDED, Number, ValueBounds

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
_ZONE = r"[+-](0[0-9]|1[0-5])(:[0-5][0-9]){0,2}"


def _integer_type(bits: int, name: str | None = None) -> Json:
    """The schema of a signed integer, with the name of its format if it has one."""
    limit = 1 << (bits - 1)
    schema: Json = {"type": "integer"}
    if name is not None:
        schema["format"] = name
    schema["minimum"] = -limit
    schema["maximum"] = limit - 1
    return schema


_TYPES: Mapping[str, Json] = {
    "int2": _integer_type(16),
    "int4": _integer_type(32, "int32"),
    "int8": _integer_type(64, "int64"),
    "oid": {"type": "integer", "format": "uint32", "minimum": 0, "maximum": (1 << 32) - 1},
    "float4": {"type": "number", "format": "float"},
    "float8": {"type": "number", "format": "double"},
    "numeric": {"type": "number"},
    "bool": {"type": "boolean"},
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
    "timestamptz": {"type": "string", "format": "date-time"},
    "time": {"type": "string", "pattern": f"^({_TIME}|24:00:00)$"},
    "timetz": {"type": "string", "pattern": f"^({_TIME}|24:00:00)({_ZONE})?$"},
    "char": {"type": "string", "pattern": r"^([ -~]?|\\[0-7]{3})$"},
    "bytea": {"type": "string", "contentEncoding": "base64"},
    "json": {"type": "object"},
    "jsonb": {"type": "object"},
}
_CHECKED_TEXTS = frozenset({"text", "varchar"})  # char(n) is compared without its blanks
# the types that are served: arcs become segments, surfaces of patches become multipolygons
_GEOMETRIES = {
    "GEOMETRY": "any",
    "CIRCULARSTRING": "linestring",
    "COMPOUNDCURVE": "linestring",
    "MULTICURVE": "multilinestring",
    "CURVEPOLYGON": "polygon",
    "TRIANGLE": "polygon",
    "MULTISURFACE": "multipolygon",
    "POLYHEDRALSURFACE": "multipolygon",
    "TIN": "multipolygon",
}


def _whole_type(schema: Json, bounds: ValueBounds) -> Json:
    """The schema of whole numbers; all bounds become inclusive."""
    minima: list[Number] = [schema.get("minimum", -math.inf)]
    maxima: list[Number] = [schema.get("maximum", math.inf)]
    if bounds.minimum is not None:
        minima.append(math.ceil(bounds.minimum))
    if bounds.above is not None:
        minima.append(math.floor(bounds.above) + 1)
    if bounds.maximum is not None:
        maxima.append(math.floor(bounds.maximum))
    if bounds.below is not None:
        maxima.append(math.ceil(bounds.below) - 1)
    bounded = dict(schema)
    bounded["type"] = "integer"
    for name, limit in (("minimum", max(minima)), ("maximum", min(maxima))):
        if limit not in (-math.inf, math.inf):
            bounded[name] = limit
    return bounded


def _number_type(schema: Json, bounds: ValueBounds) -> Json:
    """The schema of numbers; of an inclusive and an exclusive bound it has the stricter one."""
    found = dict(schema)
    minimum, above = bounds.minimum, bounds.above
    if above is not None and (minimum is None or above >= minimum):
        found["exclusiveMinimum"] = above
    elif minimum is not None:
        found["minimum"] = minimum
    maximum, below = bounds.maximum, bounds.below
    if below is not None and (maximum is None or below <= maximum):
        found["exclusiveMaximum"] = below
    elif maximum is not None:
        found["maximum"] = maximum
    return found


def _text_type(schema: Json, bounds: ValueBounds) -> Json:
    bounded = dict(schema)
    if bounds.min_length is not None:
        bounded["minLength"] = bounds.min_length
    if bounds.max_length is not None:
        bounded["maxLength"] = bounds.max_length
    return bounded


def _bounded(type_name: str, schema: Json, bounds: ValueBounds) -> Json:
    """The schema of a type with the bounds that apply to it."""
    kind = schema["type"]
    if bounds == UNBOUNDED:
        return schema
    if kind in ("integer", "number"):
        bounds = bounds.for_numbers()
        if kind == "integer" or bounds.whole:
            bounded = _whole_type(schema, bounds)
        else:
            bounded = _number_type(schema, bounds)
    elif type_name in _CHECKED_TEXTS:
        bounds = bounds.for_texts()
        bounded = _text_type(schema, bounds)
    elif type_name == "bpchar":
        bounds = ValueBounds(max_length=bounds.max_length)
        bounded = _text_type(schema, bounds)
    else:
        return schema
    if bounds.one_of is not None:
        bounded = {**bounded, "enum": list(bounds.one_of)}
    return bounded


def type_schema(typed: TypedName, bounds: ValueBounds = UNBOUNDED) -> Json:
    """The schema of a value of this type. It does not describe NULL, which is not a value."""
    if typed.enum is not None:
        return {"type": "string", "enum": list(typed.enum)}
    types: Mapping[str, Json] = {}
    if typed.type_schema == "pg_catalog":
        types = _TYPES
    name = typed.type_name
    if typed.category == "A" and name.startswith("_"):
        element_name = name[1:]
        element = types.get(element_name, TEXT)
        return {"type": "array", "items": _bounded(element_name, element, bounds)}
    if typed.category == "C" or name == "hstore":
        return {"type": "object"}
    if not types:
        return TEXT
    return _bounded(name, types.get(name, TEXT), bounds)


def column_schema(column: Column) -> Json:
    """The schema of a column's values."""
    return type_schema(column, column.bounds)


def geometry_schema(geometry: GeometryColumn) -> Json:
    """The schema of a geometry.

    It has a format and no type (OGC 23-058r2, /req/schemas/properties).
    """
    served_type = _GEOMETRIES.get(geometry.type, geometry.type.lower())
    return {"format": f"geometry-{served_type}"}
