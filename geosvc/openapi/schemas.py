"""The components that every description has: schemas and headers. Source: OpenAPI 3.0.3."""

from collections.abc import Iterable, Mapping
from functools import cache

from geosvc.encode.json_schema import TEXT, Json, type_schema
from geosvc.model.bounds import ANYTHING
from geosvc.model.collection import Column, TypedName
from geosvc.model.crs import CRS84_URI


@cache
def ref(kind: str, name: str) -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def of(items: Json) -> Json:
    """An array."""
    return {"type": "array", "items": items}


def object_of(required: Iterable[str] = (), /, **properties: Json) -> Json:
    """An object with these properties."""
    described: Json = {"type": "object", "properties": properties}
    if names := list(required):
        described["required"] = names
    return described


def _geometry(name: str, depth: int) -> Json:
    """A type of GeoJSON, whose positions lie so many arrays deep."""
    coordinates = _POSITION
    for _ in range(depth):
        coordinates = of(coordinates)
    return object_of(("type", "coordinates"), type={"type": "string", "enum": [name]}, coordinates=coordinates)


URI: Json = {"type": "string", "format": "uri"}
COUNT: Json = {"type": "integer", "minimum": 0}
_POSITION: Json = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
_COORDINATES = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}
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
        parameter={"type": "string", "description": "The parameter or header at fault."},
        pointer={"type": "string", "description": "The place in the body that is at fault, a JSON pointer."},
        index={**COUNT, "description": "The feature of the body that is at fault."},
        constraint={"type": "string", "description": "The constraint of the database that does not hold."},
    ),
    "link": object_of(("href", "rel"), href=TEXT, rel=TEXT, type=TEXT, title=TEXT),
    "landingPage": object_of(("links",), title=TEXT, description=TEXT, links=LINKS),
    "conformance": object_of(("conformsTo",), conformsTo=of(URI), links=LINKS),
    "functions": object_of(
        ("functions",),
        functions=of(
            object_of(
                ("name", "returns"),
                name=TEXT,
                description=TEXT,
                arguments=of(object_of(("type",), title=TEXT, type=of(TEXT))),
                returns=of(TEXT),
            )
        ),
        links=LINKS,
    ),
    "collections": object_of(("links", "collections"), links=LINKS, collections=of(ref("schemas", "collection"))),
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
    "geometryOrNull": {"anyOf": [ref("schemas", "geometry"), {"type": "object", "nullable": True, "enum": [None]}]},
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
    ),
    "loadReport": object_of(
        ("numberReceived", "numberCreated", "numberUpdated", "numberRejected", "rejected"),
        numberReceived=COUNT,
        numberCreated=COUNT,
        numberUpdated=COUNT,
        numberRejected=COUNT,
        rejected=of(object_of(("index", "type", "detail"), index=COUNT, type=URI, detail=TEXT, pointer=TEXT, constraint=TEXT)),
        numberRepaired=COUNT,
        repaired=of(object_of(("index", "change"), index=COUNT, change=TEXT)),
        ids=of(TEXT),
    ),
}

HEADERS: Mapping[str, Json] = {
    "X-Request-ID": {"description": "The id of the request, the client's own if it sent one.", "schema": TEXT},
    "Server-Timing": {"description": "Milliseconds until the response began, by part.", "schema": TEXT},
    "Content-Crs": {
        "description": "The reference system of the coordinates: the URI of one that the collection lists, in angle brackets.",
        "schema": {"type": "string", "pattern": "^<.+>$", "example": f"<{CRS84_URI}>"},
    },
    "Link": {"description": "What the features can be filtered by.", "schema": TEXT},
    "Cache-Control": {"description": "no-cache: to be asked after with If-None-Match.", "schema": TEXT},
    "Content-Disposition": {"description": "The name of the file.", "schema": TEXT},
    "Retry-After": {"description": "Seconds to wait before asking again.", "schema": COUNT},
    "Allow": {"description": "The methods that the resource takes.", "schema": TEXT},
    "Accept-Post": {"description": "The media types that POST takes.", "schema": TEXT},
    "Accept-Patch": {"description": "The media types that PATCH takes.", "schema": TEXT},
    "Accept-Encoding": {"description": "The codings that bodies may have.", "schema": TEXT},
    "ETag": {"description": "The version of what is told, for If-None-Match and, of a feature, If-Match.", "schema": TEXT},
    "Last-Modified": {"description": "When the feature was last changed, where the database tells.", "schema": TEXT},
    "Location": {"description": "Where the new feature is.", "schema": TEXT},
    "Preference-Applied": {"description": "The preferences that were heeded.", "schema": TEXT},
    "Geometry-Repaired": {"description": "What was changed in the geometry.", "schema": TEXT},
    "Idempotency-Replayed": {"description": "Given when the answer is that of an earlier request.", "schema": TEXT},
}


def describe_type(typed: TypedName) -> Json:
    """The schema of a value of this type as text in a URL; what PostgreSQL alone can check is any text."""
    schema = type_schema(typed, typed.bounds if isinstance(typed, Column) else ANYTHING)
    return in_openapi(schema) if schema["type"] not in ("array", "object") and "contentEncoding" not in schema else TEXT


def in_openapi(schema: Json) -> Json:
    """A schema of draft 2020-12 in the dialect of OpenAPI 3.0: what excludes a bound is a boolean, base64 a format."""
    found: Json = dict(schema)
    if found.pop("contentEncoding", None) == "base64":
        found["format"] = "byte"
    if "items" in found:
        found["items"] = in_openapi(found["items"])
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in found:
            found |= {bound: found[exclusive], exclusive: True}
    return found
