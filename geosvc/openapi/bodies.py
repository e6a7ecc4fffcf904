"""What is posted: features as the collection takes them, patches, searches."""

from collections.abc import Callable, Mapping

from geosvc.encode.json_schema import TEXT, Json, column_schema
from geosvc.model.collection import Collection, Column
from geosvc.model.media_type import GEOJSON, GEOJSONSEQ, JSON, MERGE_PATCH
from geosvc.model.spatial import Predicate
from geosvc.openapi.parameters import OwnParameters
from geosvc.openapi.schemas import in_openapi, object_of, ref
from geosvc.requests.declared import DECLARED, FORMAT
from geosvc.requests.properties import Mode, decoded_columns, writable_columns

_GEOMETRY = ref("schemas", "geometry")
_GEOMETRY_OR_NULL = ref("schemas", "geometryOrNull")
_JSON_TYPES = ("object", "array", "string", "number", "boolean")
_SEARCH: Json = {
    "filter": {"description": "CQL2: a text, or an object of its JSON encoding.", "anyOf": [TEXT, {"type": "object"}]},
    "geometry": _GEOMETRY,
    "predicate": {"type": "string", "enum": list(Predicate), "default": "intersects"},
    "distance": {"type": "number", "minimum": 0, "description": "Metres, for dwithin and nearest."},
    "k": {"type": "integer", "minimum": 1, "description": "How many are nearest.", "default": 10},
}


def _value(column: Column, *, nullable: bool) -> Json:
    schema = column_schema(column)
    if column.type_name in ("json", "jsonb"):
        return {} if nullable else {"anyOf": [{"type": kind} for kind in _JSON_TYPES]}
    if schema["type"] == "object":
        return {}  # PostgreSQL reads it
    return {**in_openapi(schema), **({"nullable": True} if nullable else {})}


def _properties(collection: Collection, mode: Mode) -> Json:
    """As the decoder of posted properties takes them (`requests.properties`); a key that is there is not changed."""
    keyed = any(not column.may_default for column in collection.key_columns)
    columns = decoded_columns(collection, mode, keyed=keyed) if mode is Mode.CREATE else writable_columns(collection, mode)
    values = {column.name: _value(column, nullable=not column.not_null) for column in columns}
    required = [column.name for column in columns if column.required and mode is not Mode.MERGE]
    return {**object_of(required, **values), "additionalProperties": False}


def _feature(collection: Collection, mode: Mode) -> Json:
    required = ["type", "geometry", "properties"] if mode is not Mode.MERGE else []
    geometry = _GEOMETRY if collection.geometry.not_null else _GEOMETRY_OR_NULL
    properties = _properties(collection, mode)
    return object_of(required, type={"type": "string", "enum": ["Feature"]}, geometry=geometry, properties=properties)


def _content(**by_type: Json) -> Json:
    return {"required": True, "content": {essence: {"schema": schema} for essence, schema in by_type.items()}}


def _create(collection: Collection, _: OwnParameters) -> Json:
    feature = _feature(collection, Mode.CREATE)
    kind = {"type": "string", "enum": ["FeatureCollection"]}
    many = object_of(("type", "features"), type=kind, features={"type": "array", "items": feature})
    return _content(**{GEOJSON.essence: {"oneOf": [feature, many]}, GEOJSONSEQ.essence: TEXT})


def _replace(collection: Collection, _: OwnParameters) -> Json:
    return _content(**{GEOJSON.essence: _feature(collection, Mode.REPLACE)})


def _patch(collection: Collection, _: OwnParameters) -> Json:
    described = {**_feature(collection, Mode.MERGE), "description": "RFC 7396: what is named is changed, null removes."}
    return _content(**{MERGE_PATCH.essence: described})


def _search(collection: Collection, own: OwnParameters) -> Json:
    """The parameters of items under their own names, but for the media type."""
    members = {each.name: ref("parameters", f"{each.name}/schema") for each in DECLARED if each is not FORMAT} | own.schemas()
    required = [parameter.name for parameter in collection.parameters or () if parameter.required and parameter.name in members]
    return _content(**{JSON.essence: {**object_of(required, **(members | _SEARCH)), "additionalProperties": False}})


BODIES: Mapping[str, Callable[[Collection, OwnParameters], Json]] = {
    "create": _create,
    "replace": _replace,
    "patch": _patch,
    "search": _search,
}
"""What makes the body of an operation, by the name that the operation has for it."""
