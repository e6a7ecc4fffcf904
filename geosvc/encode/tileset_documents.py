"""The documents about tilesets. Source: OGC 17-083r4 7, OGC 20-057 8 and TileJSON 3.0."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from geosvc.about import About, License
from geosvc.encode.json_schema import column_schema
from geosvc.model.collection import Collection, Column
from geosvc.model.crs import CRS84_URI
from geosvc.model.queryables import queryables
from geosvc.model.tile_matrix_set import TileMatrixSet

Bounds = Sequence[float] | None
"""(west, south, east, north), degrees; None where nothing is known."""

_WORLD = (-180.0, -85.051129, 180.0, 85.051129)
_GEOMETRY_DIMENSIONS = {"POINT": 0, "LINESTRING": 1, "POLYGON": 2}
_TILEJSON_TYPES = {"integer": "Number", "number": "Number", "boolean": "Boolean"}


def describe_set(matrix_set: TileMatrixSet) -> dict[str, Any]:
    """A tile matrix set in a list of them."""
    described: dict[str, Any] = {
        "id": matrix_set.id,
        "title": matrix_set.title,
        "crs": matrix_set.crs_uri,
    }
    if matrix_set.uri is not None:
        described["uri"] = matrix_set.uri
    return described


def describe_tileset(title: str, matrix_set: TileMatrixSet) -> dict[str, Any]:
    """The members that a tileset has also in a list of tilesets."""
    described: dict[str, Any] = {
        "title": title,
        "dataType": "vector",
        "crs": matrix_set.crs_uri,
    }
    if matrix_set.uri is not None:
        described["tileMatrixSetURI"] = matrix_set.uri
    return described


def describe_layers(
    collections: Sequence[Collection], matrix_set: TileMatrixSet
) -> list[Mapping[str, Any]]:
    """The layers of a tileset, one for each collection."""
    return [_describe_layer(collection, matrix_set) for collection in collections]


def _describe_layer(collection: Collection, matrix_set: TileMatrixSet) -> dict[str, Any]:
    shown = queryables(collection)
    properties: dict[str, Any] = {}
    for column in collection.columns:
        if column.name in shown:
            properties[column.name] = column_schema(column)
    layer: dict[str, Any] = {
        "id": collection.id,
        "title": collection.title,
        "dataType": "vector",
        "minTileMatrix": matrix_set.matrices[0].id,
        "maxTileMatrix": matrix_set.matrices[-1].id,
        "propertiesSchema": {"type": "object", "properties": properties},
    }
    dimension = _GEOMETRY_DIMENSIONS.get(collection.geometry.type.removeprefix("MULTI"))
    if dimension is not None:
        layer["geometryDimension"] = dimension
    if collection.description:
        layer["description"] = collection.description
    return layer


def describe_bounding_box(bounds: Bounds) -> dict[str, Any]:
    """The member `boundingBox` of a tileset; empty where nothing is known."""
    if bounds is None:
        return {}
    west, south, east, north = bounds_of(bounds)
    return {
        "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north], "crs": CRS84_URI}
    }


def bounds_of(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    """The four sides of a box with or without heights."""
    half = len(bbox) // 2
    return bbox[0], bbox[1], bbox[half], bbox[half + 1]


def write_tilejson(
    title: str,
    template: str,
    collections: Sequence[Collection],
    matrix_set: TileMatrixSet,
    bounds: Bounds,
) -> dict[str, Any]:
    """A tileset as TileJSON.

    `promoteIds` names, by layer, the property that identifies a feature where its id is no whole
    number; a tile has no other ids.

    Args:
        template: the URL of tiles with {z}, {x} and {y}.
    """
    most = len(matrix_set.matrices) - 1
    document: dict[str, Any] = {
        "tilejson": "3.0.0",
        "name": title,
        "tiles": [template],
        "scheme": "xyz",
        "minzoom": 0,
        "maxzoom": most,
        "vector_layers": [_vector_layer(collection, most) for collection in collections],
    }
    document["bounds"] = list(_WORLD if bounds is None else bounds_of(bounds))
    promoted = {each.id: each.key[0] for each in collections if promotes_key(each)}
    if promoted:
        document["promoteIds"] = promoted
    return document


def promotes_key(collection: Collection) -> bool:
    """Whether features are identified by a property, since their key is no whole number."""
    if len(collection.key) != 1:
        return False
    return collection.key_columns[0].type_name not in ("int2", "int4", "int8")


def _vector_layer(collection: Collection, most: int) -> dict[str, Any]:
    fields: dict[str, str] = {}
    for column in collection.columns:
        schema_type = column_schema(column).get("type")
        fields[column.name] = _TILEJSON_TYPES.get(str(schema_type), "String")
    layer: dict[str, Any] = {
        "id": collection.id,
        "fields": fields,
        "minzoom": 0,
        "maxzoom": most,
    }
    if collection.description:
        layer["description"] = collection.description
    return layer


def write_archive_metadata(
    collection: Collection, columns: Sequence[Column], zooms: tuple[int, int], about: About
) -> dict[str, Any]:
    """The metadata of an archive of tiles. Source: PMTiles 3, JSON Metadata.

    Args:
        columns: that are properties.
        zooms: the first and the last.
        about: the service, for the attribution.
    """
    layer = _vector_layer(collection, zooms[1])
    names = {column.name for column in columns}
    layer["minzoom"] = zooms[0]
    layer["fields"] = {name: kind for name, kind in layer["fields"].items() if name in names}
    document: dict[str, Any] = {
        "name": collection.title,
        "type": "overlay",
        "vector_layers": [layer],
    }
    if collection.description:
        document["description"] = collection.description
    if about.license is not None:
        document["attribution"] = _attribution(about.license)
    if promotes_key(collection):
        document["promoteIds"] = {collection.id: collection.key[0]}
    return document


def _attribution(terms: License) -> str:
    """A licence in HTML, as clients show it on a map."""
    name = escape(terms.name)
    if terms.url is None:
        return name
    return f'<a href="{escape(terms.url)}">{name}</a>'
