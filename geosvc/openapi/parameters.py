"""The parameters: components that collections share, and those of one collection."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geosvc.encode.json_schema import TEXT, Json
from geosvc.formats import FeatureFormats
from geosvc.model.collection import Collection
from geosvc.model.crs import CRS84_URI, WGS84
from geosvc.model.media_type import (
    DOCUMENT_TYPES,
    JSON,
    SCHEMA_TYPES,
    STYLE_TYPES,
    TILE_TYPES,
    TILESET_TYPES,
    MediaType,
)
from geosvc.model.offered_crs import listed_crs
from geosvc.openapi.components import describe_type
from geosvc.requests.declared import DECLARED, DEFAULT_CRS, FORMAT, LAST_EVENT_ID, Declared
from geosvc.requests.items import ReadingRules
from geosvc.requests.parameter_values import double_quoted
from geosvc.requests.property_parameters import property_parameters
from geosvc.requests.style_parameters import COLOR, colour_columns

_DECLARED = {each.name: each for each in (*DECLARED, LAST_EVENT_ID)}
_DOCUMENT_FORMATS: Mapping[str, tuple[MediaType, ...]] = {
    "f-document": DOCUMENT_TYPES,
    "f-schema": SCHEMA_TYPES,
    "f-api": (JSON,),
    "f-tileset": TILESET_TYPES,
    "f-tile": TILE_TYPES,
    "f-style": STYLE_TYPES,
}
_OF_CRS = frozenset({"crs", "bbox-crs", "filter-crs", "Content-Crs"})
_FLAGS = {
    "dry-run": "Everything is checked and nothing is stored.",
    "repair": "Geometries are repaired where possible.",
    "upsert": "A feature with an existing id replaces that feature. Only for tables with a key.",
}
_TAG = r'(W/)?"[!#-~]*"'
_TAGS: Json = {"type": "string", "pattern": rf"^(\*|({_TAG}( *, *{_TAG})*)?)$", "example": '"0"'}
_CONTENT_CRS = (
    "The reference system of the posted coordinates: one of those that the collection lists. "
    f"{DEFAULT_CRS}"
)
_HEADERS: Mapping[str, tuple[str, Json]] = {
    "If-Match": ("Only if the feature has one of these ETags, or, with *, if it exists.", _TAGS),
    "If-None-Match": (
        "Only if it has none of these ETags, or, with *, if it does not exist.",
        _TAGS,
    ),
    "If-Unmodified-Since": (
        "Only if the feature was not changed since; If-Match has priority.",
        TEXT,
    ),
    "If-Modified-Since": (
        "Only if the feature was changed since; If-None-Match has priority.",
        TEXT,
    ),
    "Last-Event-ID": (
        "The id of the last received event: the stream continues after it.",
        {**LAST_EVENT_ID.schema},
    ),
    "Prefer": ("return=representation or minimal, handling=strict or lenient.", TEXT),
    "Content-Crs": (_CONTENT_CRS, TEXT),
    "Idempotency-Key": (
        "The same request with the same key is executed once.",
        {"type": "string", "pattern": r"^[!#-\[\]-~]{1,255}$"},
    ),
}
_COLOR = "The property that gives the colour of a feature; by default all have the same colour."
_EXTENT = Declared(
    "extent",
    "exact reads every row for the extent, within the time limit; estimated reads none.",
    {"type": "string", "enum": ["estimated", "exact"], "default": "estimated"},
)


_COLLECTIONS = "The ids of the collections that become layers, in this order; by default all."
_INDEX: Json = {"type": "integer", "minimum": 0}
_OF_TILES: Mapping[str, tuple[str, Json]] = {
    "tileMatrix": ("The id of a tile matrix; 0 is the coarsest.", {"type": "string"}),
    "tileRow": ("The row, from the north.", _INDEX),
    "tileCol": ("The column, from the west.", _INDEX),
    "z": ("The zoom.", _INDEX),
    "x": ("The column, from the west.", _INDEX),
    "y": ("The row, from the north.", _INDEX),
}


def query_parameter(
    name: str, description: str, schema: Mapping[str, Any], required: bool = False
) -> Json:
    """A parameter in the query.

    QGIS uses a property for filters only if style and explode are explicit.
    """
    described: Json = {
        "name": name,
        "in": "query",
        "description": description,
        "style": "form",
        "explode": False,
    }
    if required:
        described["required"] = True
    return {**described, "schema": schema}


def path_parameter(name: str, description: str, schema: Json) -> Json:
    """A parameter in the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
    }


def _header_parameter(name: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "description": _HEADERS[name][0], "schema": schema}


def _schema_of(declared: Declared, rules: ReadingRules) -> Json:
    """The schema of a parameter that is the same for all collections."""
    schema = dict(declared.schema)
    if declared.name == "limit" and rules.limits is not None:
        schema |= {"minimum": 1, "maximum": rules.limits.maximum, "default": rules.limits.default}
    return schema


def _format_components(formats: FeatureFormats) -> Mapping[str, tuple[MediaType, ...]]:
    """The media types among which `f` chooses, by the name of the component."""
    return {
        "f": formats.items_types,
        "f-export": formats.export_types,
        "f-item": formats.item_types,
        **_DOCUMENT_FORMATS,
    }


def shared_parameters(
    rules: ReadingRules, collections: Iterable[Collection], formats: FeatureFormats
) -> Json:
    """The components of all parameters but those of tiles, by name.

    Parameters of a CRS have one component for each list of CRSs that a collection has.
    """
    components: Json = {}
    for declared in (*DECLARED, LAST_EVENT_ID, _EXTENT):
        schema = _schema_of(declared, rules)
        components[declared.name] = query_parameter(declared.name, declared.description, schema)
    for name, media_types in _format_components(formats).items():
        schema = {**FORMAT.schema, "enum": _short_names(media_types)}
        components[name] = query_parameter(FORMAT.name, FORMAT.description, schema)
    for name, text in _FLAGS.items():
        schema = {"type": "boolean", "default": False}
        components[name] = query_parameter(name, text, schema)
    for name, (_, schema) in _HEADERS.items():
        components[name] = _header_parameter(name, schema)
    collection_by_crs = {crs_key(collection): collection for collection in collections}
    for collection in collection_by_crs.values():
        uris = [crs.uri for crs in listed_crs(collection, rules.crs)]
        for name in sorted(_OF_CRS & components.keys()):  # the same text in each worker
            components[component_of(name, collection)] = _crs_parameter(name, uris)
    return components


def tile_parameters(
    collections: Iterable[Collection], tile_matrix_sets: Sequence[str], most_collections: int
) -> Json:
    """The components of the parameters that only tiles and tilesets have, by name.

    Args:
        tile_matrix_sets: their ids.
        most_collections: how many collections one tile may have.
    """
    components: Json = {}
    for name, (text, schema) in _OF_TILES.items():
        components[name] = path_parameter(name, text, schema)
    sets: Json = {**TEXT, "enum": list(tile_matrix_sets)}
    components["tileMatrixSetId"] = path_parameter(
        "tileMatrixSetId", "The id of a tile matrix set.", sets
    )
    layers = [_quoted(collection.id) for collection in collections if collection.may_be_layer]
    items: Json = {**TEXT, "enum": layers} if layers else TEXT
    listed: Json = {
        "type": "array",
        "items": items,
        "minItems": 1,
        "maxItems": most_collections,
        "uniqueItems": True,
    }
    is_required = len(layers) > most_collections
    components["collections"] = query_parameter(
        "collections", _COLLECTIONS, listed, required=is_required
    )
    return components


def _short_names(media_types: Iterable[MediaType]) -> list[str]:
    """The values of `f` for these media types, each once."""
    names: dict[str, None] = {}
    for media_type in media_types:
        for name in (media_type.short, *media_type.aliases):
            if "/" not in name:
                names[name] = None
    return list(names)


def _crs_parameter(name: str, uris: list[str]) -> Json:
    """The parameter that names one of these CRSs."""
    if name in _HEADERS:
        bracketed = [f"<{uri}>" for uri in uris]
        return _header_parameter(name, {"type": "string", "enum": [*bracketed, *uris]})
    default = uris[0] if name == "crs" else CRS84_URI
    schema = {"type": "string", "format": "uri", "enum": uris, "default": default}
    return query_parameter(name, _DECLARED[name].description, schema)


def crs_key(collection: Collection) -> str:
    """A suffix that differs between collections with different lists of CRSs.

    It is empty for WGS 84 in two dimensions.
    """
    geometry = collection.geometry
    key = ""
    if geometry.srid != WGS84:
        key += f"-{geometry.srid}"
    if geometry.has_z:
        key += "-z"
    return key


def component_of(name: str, collection: Collection) -> str:
    """The component of a parameter for a collection."""
    if name in _OF_CRS:
        return name + crs_key(collection)
    return name


def _quoted(name: str) -> str:
    """The name of a property in a list; quoted if it could be read as something else."""
    if name[:1] not in ("+", "-", " ", '"') and "," not in name:
        return name
    return double_quoted(name)


@dataclass(frozen=True, slots=True)
class OwnParameters:
    """The parameters of the items of one collection.

    Attributes:
        values: the arguments of the function, then the queryables.
        names: the parameters that name properties, by name; they replace the components of the same
            name.
    """

    values: list[Json]
    names: dict[str, Json]

    def schemas(self) -> dict[str, Json]:
        """The schemas of all of them, by name."""
        parameters = (*self.values, *self.names.values())
        return {parameter["name"]: parameter["schema"] for parameter in parameters}


def own_parameters(collection: Collection) -> OwnParameters:
    """The parameters that differ from those of other collections."""
    values: list[Json] = []
    for parameter in collection.parameters or ():
        if parameter.name not in _DECLARED:
            text = f"Argument of the function ({parameter.type})."
            schema = describe_type(parameter)
            values.append(query_parameter(parameter.name, text, schema, parameter.required))
    for column in property_parameters(collection):
        meaning = column.description or "Only features with this value."
        values.append(
            query_parameter(column.name, f"{meaning} ({column.type})", describe_type(column))
        )
    properties: list[str] = []
    sortby: list[str] = []
    for column in collection.columns:
        name = _quoted(column.name)
        properties.append(name)
        if column.sortable:
            sortby += [name, f"-{name}"]
    names = {
        "sortby": _of_names("sortby", sortby),
        "properties": _of_names("properties", properties),
    }
    return OwnParameters(values, names)


def color_parameter(collection: Collection) -> Json | None:
    """The property that gives the colour in a style; None where no property can."""
    names = [column.name for column in colour_columns(collection)]
    if not names:
        return None
    return query_parameter(COLOR, _COLOR, {**TEXT, "enum": names})


def _of_names(name: str, choices: list[str]) -> Json:
    """The parameter that lists properties.

    Args:
        choices: the values that the list may contain; without any, it must be empty.
    """
    items = {**TEXT, "enum": choices} if choices else TEXT
    described = query_parameter(
        name, _DECLARED[name].description, {"type": "array", "items": items}
    )
    # form is the default; with it, QGIS would filter by a property with the name `properties`
    del described["style"]
    return described


def feature_id(collection: Collection) -> Json:
    """The parameter in the path of a feature."""
    key = collection.key_columns
    if len(key) == 1:
        description, schema = f"The value of {key[0].name}.", describe_type(key[0])
    else:
        names = ", ".join(column.name for column in key)
        description = (
            f"The values of {names} with commas between them; a backslash escapes the next "
            "character."
        )
        schema = TEXT
    return path_parameter("featureId", description, schema)
