"""The schemas and headers that every description has as components. Source: OpenAPI 3.0.3."""

from collections.abc import Iterable, Mapping
from functools import cache

from geosvc.encode.json_schema import TEXT, Json, type_schema
from geosvc.model.collection import Column, TypedName
from geosvc.model.crs import CRS84_URI
from geosvc.model.value_bounds import UNBOUNDED


@cache
def ref(kind: str, name: str) -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def of(items: Json) -> Json:
    """An array."""
    return {"type": "array", "items": items}


def object_of(required: Iterable[str] = (), /, **properties: Json) -> Json:
    """An object with these properties."""
    schema: Json = {"type": "object", "properties": properties}
    names = list(required)
    if names:
        schema["required"] = names
    return schema


def _geometry(name: str, depth: int) -> Json:
    """The schema of a GeoJSON type.

    Args:
        depth: how many arrays contain its positions.
    """
    coordinates = _POSITION
    for _ in range(depth):
        coordinates = of(coordinates)
    return object_of(
        ("type", "coordinates"), type={"type": "string", "enum": [name]}, coordinates=coordinates
    )


URI: Json = {"type": "string", "format": "uri"}
COUNT: Json = {"type": "integer", "minimum": 0}
_POSITION: Json = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
_COORDINATES = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}
LINKS = of(ref("schemas", "link"))
NUMBERS = of({"type": "number"})
SCHEMAS: Mapping[str, Json] = {
    "problem": object_of(
        ("type", "title", "status", "detail", "request_id"),
        type=URI,
        title=TEXT,
        status={"type": "integer", "minimum": 400, "maximum": 599},
        detail=TEXT,
        request_id=TEXT,
        parameter={"type": "string", "description": "The parameter or header that is wrong."},
        pointer={
            "type": "string",
            "description": "The part of the body that is wrong, as a JSON pointer.",
        },
        index={
            **COUNT,
            "description": "The number of the feature in the body that is wrong, from 0.",
        },
        constraint={
            "type": "string",
            "description": "The constraint of the database that is violated.",
        },
    ),
    "link": object_of(("href", "rel"), href=TEXT, rel=TEXT, type=TEXT, title=TEXT),
    "landingPage": object_of(
        ("links",),
        title=TEXT,
        description=TEXT,
        contact=object_of(name=TEXT, url=URI, email=TEXT),
        links=LINKS,
    ),
    "conformance": object_of(("conformsTo",), conformsTo=of(URI), links=LINKS),
    "collections": object_of(
        ("links", "collections"), links=LINKS, collections=of(ref("schemas", "collection"))
    ),
    "collection": object_of(
        ("id", "links"),
        id=TEXT,
        title=TEXT,
        description=TEXT,
        itemType=TEXT,
        crs=of(URI),
        storageCrs=URI,
        extent=ref("schemas", "extent"),
        links=LINKS,
    ),
    "extent": object_of(
        spatial=object_of(bbox=of({**NUMBERS, "minItems": 4, "maxItems": 6}), crs=URI),
        temporal=object_of(interval=of(of({"type": "string", "nullable": True})), trs=URI),
    ),
    "geometry": {
        "oneOf": [
            *(_geometry(name, depth) for name, depth in _COORDINATES.items()),
            object_of(
                ("type", "geometries"),
                type={"type": "string", "enum": ["GeometryCollection"]},
                geometries=of(ref("schemas", "geometry")),
            ),
        ],
        "description": "GeoJSON, RFC 7946.",
    },
    "geometryOrNull": {
        "anyOf": [ref("schemas", "geometry"), {"type": "object", "nullable": True, "enum": [None]}]
    },
    "feature": object_of(
        ("type", "geometry", "properties"),
        type={"type": "string", "enum": ["Feature"]},
        id={"oneOf": [TEXT, {"type": "integer"}]},
        geometry=ref("schemas", "geometryOrNull"),
        properties={"type": "object"},
        links=LINKS,
    ),
    "featureCollection": object_of(
        ("type", "features"),
        type={"type": "string", "enum": ["FeatureCollection"]},
        features=of(ref("schemas", "feature")),
        links=LINKS,
        timeStamp={"type": "string", "format": "date-time"},
        numberMatched=COUNT,
        numberMatchedEstimate=COUNT,
        numberReturned=COUNT,
        limitApplied={
            **COUNT,
            "description": "The most features of a page, if the client requested more.",
        },
    ),
    "loadReport": object_of(
        ("numberReceived", "numberCreated", "numberUpdated", "numberRejected", "rejected"),
        numberReceived=COUNT,
        numberCreated=COUNT,
        numberUpdated=COUNT,
        numberRejected=COUNT,
        rejected=of(
            object_of(
                ("index", "type", "detail"),
                index=COUNT,
                type=URI,
                detail=TEXT,
                pointer=TEXT,
                constraint=TEXT,
            )
        ),
        numberRepaired=COUNT,
        repaired=of(object_of(("index", "change"), index=COUNT, change=TEXT)),
        ids=of({"oneOf": [TEXT, {"type": "integer"}]}),
    ),
}

HEADERS: Mapping[str, Json] = {
    "X-Request-ID": {
        "description": "The id of the request, the client's own if it sent one.",
        "schema": TEXT,
    },
    "Server-Timing": {
        "description": "Milliseconds until the response began, by part.",
        "schema": TEXT,
    },
    "Content-Crs": {
        "description": "The URI of the coordinate reference system of the coordinates, in angle "
        "brackets. The collection lists all of them.",
        "schema": {"type": "string", "pattern": "^<.+>$", "example": f"<{CRS84_URI}>"},
    },
    "Link": {
        "description": "The queryables; for CSV and text sequences also the next page (rel=next).",
        "schema": TEXT,
    },
    "Geosvc-Limit-Applied": {
        "description": "The most features of a page, if the client requested more.",
        "schema": COUNT,
    },
    "Geosvc-Next-Cursor": {
        "description": "The cursor of the next page of a search, if the body has no links.",
        "schema": TEXT,
    },
    "Cache-Control": {
        "description": "no-cache: the client must revalidate with If-None-Match.",
        "schema": TEXT,
    },
    "OATiles-hint": {
        "description": "empty: the tile has no features.",
        "schema": {"type": "string", "enum": ["empty"]},
    },
    "Geosvc-Tile": {
        "description": "How many features the tile shows, how many are in its area, and thinned if "
        "some of them are gathered or left out.",
        "schema": {"type": "string", "example": "features=812, matched=171000, thinned"},
    },
    "Content-Disposition": {"description": "The name of the file.", "schema": TEXT},
    "Retry-After": {"description": "Seconds to wait before the next attempt.", "schema": COUNT},
    "Allow": {"description": "The methods that the resource accepts.", "schema": TEXT},
    "Accept-Post": {"description": "The media types that POST accepts.", "schema": TEXT},
    "Accept-Patch": {"description": "The media types that PATCH accepts.", "schema": TEXT},
    "Accept-Encoding": {"description": "The codings that bodies may have.", "schema": TEXT},
    "ETag": {
        "description": "The version of the response, for If-None-Match, and If-Match of features.",
        "schema": TEXT,
    },
    "Last-Modified": {
        "description": "When the feature was last changed, if the database knows it.",
        "schema": TEXT,
    },
    "Location": {"description": "The URL of the new feature.", "schema": TEXT},
    "Preference-Applied": {"description": "The preferences that were applied.", "schema": TEXT},
    "Geometry-Repaired": {"description": "What was changed in the geometry.", "schema": TEXT},
    "Idempotency-Replayed": {
        "description": "Present if the response is that of an earlier request.",
        "schema": TEXT,
    },
}


def describe_type(typed: TypedName) -> Json:
    """The schema of a value of this type as text in a URL.

    A value that only PostgreSQL can validate is any text.
    """
    bounds = typed.bounds if isinstance(typed, Column) else UNBOUNDED
    schema = type_schema(typed, bounds)
    if schema["type"] in ("array", "object") or "contentEncoding" in schema:
        return TEXT
    return in_openapi(schema)


def in_openapi(schema: Json) -> Json:
    """Converts a schema of draft 2020-12 to the dialect of OpenAPI 3.0.

    There, an exclusive bound is a boolean besides the bound, and base64 is a format.
    """
    converted: Json = dict(schema)
    if converted.pop("contentEncoding", None) == "base64":
        converted["format"] = "byte"
    if "items" in converted:
        converted["items"] = in_openapi(converted["items"])
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in converted:
            converted[bound] = converted[exclusive]
            converted[exclusive] = True
    return converted


def functions_document(names: Iterable[str]) -> Json:
    """The schema of the document about these functions."""
    function = object_of(
        ("name", "returns"),
        name={**TEXT, "enum": list(names)},
        description=TEXT,
        arguments=of(object_of(("type",), title=TEXT, type=of(TEXT))),
        returns=of(TEXT),
    )
    return object_of(("functions",), functions=of(function), links=LINKS)
