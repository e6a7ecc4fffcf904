"""The request bodies: features, patches, searches."""

from collections.abc import Callable, Mapping

from geosvc.bodies.properties import Mode, decoded_columns, read_only_columns
from geosvc.encode.json_schema import TEXT, Json, column_schema
from geosvc.model.collection import Collection, Column
from geosvc.model.media_type import GEOJSON, GEOJSONSEQ, JSON, MERGE_PATCH
from geosvc.model.spatial import Predicate
from geosvc.openapi.components import in_openapi, object_of, ref
from geosvc.openapi.parameters import OwnParameters
from geosvc.requests.declared import DECLARED, FORMAT

_GEOMETRY = ref("schemas", "geometry")
_GEOMETRY_OR_NULL = ref("schemas", "geometryOrNull")
_JSON_TYPES: list[Json] = [
    {"type": "array", "items": {}},
    *({"type": kind} for kind in ("object", "string", "number", "boolean")),
]
_SEARCH: Json = {
    "filter": {
        "description": "CQL2, as text or as an object of its JSON encoding.",
        "anyOf": [TEXT, {"type": "object"}],
    },
    "geometry": _GEOMETRY,
    "predicate": {"type": "string", "enum": list(Predicate), "default": "intersects"},
    "distance": {"type": "number", "minimum": 0, "description": "Metres, for dwithin and nearest."},
    "k": {
        "type": "integer",
        "minimum": 1,
        "description": "How many of the nearest features.",
        "default": 10,
    },
}


def _value(column: Column, *, nullable: bool) -> Json:
    schema = column_schema(column)
    if column.type_name in ("json", "jsonb"):
        return {} if nullable else {"anyOf": _JSON_TYPES}
    if schema["type"] == "object":
        return {}  # PostgreSQL validates it
    value = in_openapi(schema)
    if nullable:
        value["nullable"] = True
    return value


def _properties(collection: Collection, mode: Mode) -> Json:
    """The properties that the decoder accepts (`bodies.properties`).

    An existing key cannot be changed.
    """
    keyed = collection.needs_key
    columns = decoded_columns(collection, mode, keyed=keyed)
    values: Json = {}
    required: list[str] = []
    for column in columns:
        nullable = column.may_default or not column.not_null
        values[column.name] = _value(column, nullable=nullable)
        if column.required and mode is not Mode.MERGE:
            required.append(column.name)
    for column in read_only_columns(collection, mode, lenient=False, keyed=keyed):
        values[column.name] = {"readOnly": True}
    return {**object_of(required, **values), "additionalProperties": False}


def _feature(collection: Collection, mode: Mode) -> Json:
    required = ["type", "geometry", "properties"]
    if mode is Mode.MERGE:
        required = []
    geometry = _GEOMETRY_OR_NULL
    if collection.geometry.not_null:
        geometry = _GEOMETRY
    return object_of(
        required,
        type={"type": "string", "enum": ["Feature"]},
        geometry=geometry,
        properties=_properties(collection, mode),
    )


def _body(**schemas: Json) -> Json:
    """A required body.

    Args:
        schemas: by media type.
    """
    content: Json = {}
    for essence, schema in schemas.items():
        content[essence] = {"schema": schema}
    return {"required": True, "content": content}


def _create(collection: Collection, _: OwnParameters) -> Json:
    feature = _feature(collection, Mode.CREATE)
    feature_collection = object_of(
        ("type", "features"),
        type={"type": "string", "enum": ["FeatureCollection"]},
        features={"type": "array", "items": feature},
    )
    one_or_many: Json = {"oneOf": [feature, feature_collection]}
    return _body(**{GEOJSON.essence: one_or_many, GEOJSONSEQ.essence: TEXT})


def _replace(collection: Collection, _: OwnParameters) -> Json:
    feature = _feature(collection, Mode.REPLACE)
    return _body(**{GEOJSON.essence: feature})


def _patch(collection: Collection, _: OwnParameters) -> Json:
    described = _feature(collection, Mode.MERGE)
    described["description"] = "RFC 7396: named members are changed, null removes a value."
    return _body(**dict.fromkeys(MERGE_PATCH.names, described))


def _search(collection: Collection, own: OwnParameters) -> Json:
    """An object with the parameters of items by their names, without `f`."""
    members: Json = {}
    for declared in DECLARED:
        if declared is not FORMAT:
            members[declared.name] = ref("parameters", f"{declared.name}/schema")
    members |= own.schemas()
    required: list[str] = []
    for parameter in collection.parameters or ():
        if parameter.required and parameter.name in members:
            required.append(parameter.name)
    search = object_of(required, **(members | _SEARCH))
    search["additionalProperties"] = False
    return _body(**{JSON.essence: search})


BODIES: Mapping[str, Callable[[Collection, OwnParameters], Json]] = {
    "create": _create,
    "replace": _replace,
    "patch": _patch,
    "search": _search,
}
"""The functions that describe a request body, by `Operation.body`."""
