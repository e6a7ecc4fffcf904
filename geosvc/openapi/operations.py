"""The operations of the API: the parameters, responses and errors of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from geosvc.requests.declared import (
    CHANGES_DECLARED,
    DECLARED,
    FORMAT,
    ITEM_DECLARED,
    PAGING,
    TILE_DECLARED,
    Declared,
)
from geosvc.requests.style_parameters import COLOR

_ALWAYS = (400, 405, 406, 431, 500)
_DATABASE = (*_ALWAYS, 503, 504)
_ALL = (*_DATABASE, 404)
_READ = (*_ALL, 412)
_POSTED = (408, 413, 415, 422)
_WRITING = (*_ALL, 403, 409, 422, 501)
_CHANGES_PARAMETERS = tuple(parameter.name for parameter in CHANGES_DECLARED)


def _names(declared: Iterable[Declared], format_component: str) -> tuple[str, ...]:
    """The components of these parameters; that of `f` depends on the media types."""
    names: list[str] = []
    for parameter in declared:
        if parameter is FORMAT:
            names.append(format_component)
        else:
            names.append(parameter.name)
    return tuple(names)


_ITEMS_PARAMETERS = _names(DECLARED, "f")
_EXPORT_PARAMETERS = _names([each for each in DECLARED if each.name not in PAGING], "f-export")
_ITEM_PARAMETERS = _names(ITEM_DECLARED, "f-item")
_TILE_PARAMETERS = _names(TILE_DECLARED, "f-tile")
_TILESET_PARAMETERS = _names(TILE_DECLARED, "f-tileset")
_DATASET_PARAMETERS = ("collections", "datetime", "bigint")
_CONDITIONS = ("If-Match", "If-None-Match", "If-Unmodified-Since")
_CHANGE_PARAMETERS = ("dry-run", *_CONDITIONS, "Prefer", "Idempotency-Key")
_GEOMETRY_PARAMETERS = ("repair", "precision", "Content-Crs")
_FORMATS = {"Schema": "f-schema", "Api": "f-api"}
_STYLE_PARAMETERS = (COLOR, *_names(TILE_DECLARED, "f-style"))
_COLLECTION = "/collections/{collectionId}"
_ITEMS = f"{_COLLECTION}/items"
_ITEM = f"{_ITEMS}/{{featureId}}"
_TILES = f"{_COLLECTION}/tiles"
_TILESET = "/{tileMatrixSetId}"
_TILE = f"{_TILESET}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"
_XYZ_TILE = f"{_TILESET}/{{z}}/{{x}}/{{y}}.mvt"
_TILE_PATH = ("tileMatrixSetId", "tileMatrix", "tileRow", "tileCol")
_XYZ_TILE_PATH = ("tileMatrixSetId", "z", "x", "y")


DESCRIPTIONS = {
    "getLandingPage": "What this service is, with links to everything that it offers.",
    "getApi": "This document, made from the current tables.",
    "getConformanceDeclaration": "The conformance classes of OGC standards that this service "
    "implements.",
    "getFunctions": "The functions that a CQL2 filter may call, with the types of their arguments "
    "and results.",
    "getCollections": "All collections, each with its extent, reference systems and links.",
    "describeCollection": "A collection: title, description, extent, reference systems and links.",
    "getSchema": "A JSON Schema of the properties of the features, made from types, comments and "
    "constraints of the columns.",
    "getFeatureSchema": "A JSON Schema of a feature of this collection as GeoJSON.",
    "getQueryables": "A JSON Schema of the properties that a filter may name.",
    "getSortables": "A JSON Schema of the properties that `sortby` may name.",
    "getFeatures": "A page of the features that match all parameters. A link `next` leads to the "
    "next page; it is in the header Link if the body cannot contain links.",
    "getFeature": "One feature by its id.",
    "exportFeatures": "All features that match all parameters, without a limit, as a streamed "
    "download.",
    "getChanges": "Server-sent events: `insert`, `update`, `delete` and `bulk` when a transaction "
    "is committed, `resync` when a client must read everything again. `Last-Event-ID` resumes a "
    "stream.",
    "collection.vector.getTileSetsList": "The tilesets of this collection, one for each tile "
    "matrix set.",
    "collection.vector.getTileSet": "A tileset of this collection: its layer and the URL of its "
    "tiles. With `f=tilejson` it is TileJSON. The parameters of a tile become a part of the URL.",
    "collection.vector.getTile": "The features of a tile as a Mapbox vector tile. Parameters that "
    "select features mean what they mean for items.",
    "collection.vector.getTileByXyz": "The same tile for clients that know zoom, column and row.",
    "dataset.vector.getTileSetsList": "The tilesets of all collections together.",
    "dataset.vector.getTileSet": "A tileset of several collections: its layers and the URL of its "
    "tiles. With `f=tilejson` it is TileJSON.",
    "dataset.vector.getTile": "A tile with a layer for each of several collections.",
    "dataset.vector.getTileByXyz": "The same tile for clients that know zoom, column and row.",
    "collection.vector.getStyle": "A MapLibre style of the tiles of this collection, with a "
    "legend. The parameters of a tile become a part of their URL.",
    "dataset.vector.getStyle": "A MapLibre style of the tiles of several collections, each in its "
    "colour.",
    "getTileMatrixSetsList": "The tile matrix sets in which tiles can be requested.",
    "getTileMatrixSet": "The definition of a tile matrix set.",
    "searchFeatures": "The parameters of the features as a JSON object, with a geometry that may "
    "be too large for a URL: features that have a spatial relation to it, are within a distance "
    "of it, or are nearest to it.",
    "getItemsOptions": "The methods and media types that this collection accepts now.",
    "createFeatures": "A Feature creates one feature. A FeatureCollection or a text sequence is "
    "stored in one transaction; the response is a report.",
    "getItemOptions": "The methods and media types that a feature of it accepts now.",
    "replaceFeature": "Replaces the feature with this id by the posted Feature.",
    "updateFeature": "A JSON Merge Patch (RFC 7396) of the feature: it changes the named members, "
    "null removes a value.",
    "deleteFeature": "Deletes the feature with this id.",
}
"""The description of each operation, by its id."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The description of an operation of `routes.ROUTES`.

    Attributes:
        path: with `{collectionId}` if every collection has its own path.
        answer: the component of the response with `status`.
        errors: the statuses of its errors.
        parameters: the names of components.
        filters: whether the queryables and the arguments of a function are parameters.
        method: in lower case.
        also: other statuses of success and their components.
        body: the key of its request body in `bodies.BODIES`.
        needs: the attribute of a collection that must be true for the operation to exist.
    """

    path: str
    operation_id: str
    summary: str
    answer: str
    errors: tuple[int, ...]
    parameters: tuple[str, ...] = ()
    filters: bool = False
    method: str = "get"
    status: int = 200
    also: tuple[tuple[int, str], ...] = ()
    body: str | None = None
    needs: str | None = None

    @property
    def description(self) -> str:
        """What it does, in full sentences."""
        return DESCRIPTIONS[self.operation_id]


@dataclass(frozen=True, slots=True)
class AddedOperation:
    """An operation of an application that embeds geosvc.

    Attributes:
        path: with `{collectionId}` if every collection has its own path.
        method: in lower case.
        described: an Operation Object of OpenAPI 3.0; the operation id is added to it.
    """

    path: str
    operation_id: str
    method: str
    described: Mapping[str, Any]

    @property
    def description(self) -> str:
        """What it does."""
        text: str = self.described.get("description") or self.described.get("summary", "")
        return text


def _document(path: str, operation_id: str, summary: str, answer: str, *errors: int) -> Operation:
    """The operation that reads a document with an ETag."""
    parameters: tuple[str, ...] = (_FORMATS.get(answer, "f-document"), "If-None-Match")
    if answer == "Collection":
        parameters = ("extent", *parameters)
    also = ((304, "DocumentNotModified"),)
    return Operation(path, operation_id, summary, answer, (*errors, 412), parameters, also=also)


def _tileset(path: str, operation_id: str, summary: str, *names: str, filters: bool) -> Operation:
    """The operation that reads one tileset, with the parameters of its tiles."""
    parameters = ("tileMatrixSetId", *names, "If-None-Match")
    also = ((304, "DocumentNotModified"),)
    return Operation(
        path, operation_id, summary, "TileSet", (*_ALL, 412), parameters, filters, also=also
    )


def _style(path: str, operation_id: str, summary: str, *names: str, filters: bool) -> Operation:
    """The operation that reads a style."""
    parameters = (*names, "If-None-Match")
    also = ((304, "DocumentNotModified"),)
    return Operation(path, operation_id, summary, "Style", _READ, parameters, filters, also=also)


def _matrix_set() -> Operation:
    """The operation that reads one tile matrix set."""
    read = _document(
        "/tileMatrixSets/{tileMatrixSetId}",
        "getTileMatrixSet",
        "A tile matrix set",
        "TileMatrixSet",
        *_ALWAYS,
        404,
    )
    return replace(read, parameters=("tileMatrixSetId", *read.parameters))


def _tile(path: str, operation_id: str, summary: str, *names: str, filters: bool) -> Operation:
    """The operation that reads one tile."""
    also = ((204, "EmptyTile"), (304, "DocumentNotModified"))
    parameters = (*names, "If-None-Match")
    return Operation(path, operation_id, summary, "Tile", _READ, parameters, filters, also=also)


def _change(
    method: str, operation_id: str, summary: str, body: str, *also: tuple[int, str]
) -> Operation:
    """The operation that changes one feature."""
    return Operation(
        _ITEM,
        operation_id,
        summary,
        "Changed",
        (*_WRITING, 412, 428, *_POSTED),
        (*_CHANGE_PARAMETERS, *_GEOMETRY_PARAMETERS),
        method=method,
        also=also,
        body=body,
        needs="updatable",
    )


OPERATIONS = (
    _document("/", "getLandingPage", "Landing page", "LandingPage", *_ALWAYS),
    _document("/api", "getApi", "OpenAPI description", "Api", *_ALWAYS, 503),
    _document(
        "/conformance", "getConformanceDeclaration", "Conformance classes", "Conformance", *_ALWAYS
    ),
    _document("/functions", "getFunctions", "Functions of filters", "Functions", *_ALWAYS),
    _document("/collections", "getCollections", "All collections", "Collections", *_DATABASE),
    _document(_COLLECTION, "describeCollection", "A collection", "Collection", *_ALL),
    _document(f"{_COLLECTION}/schema", "getSchema", "Schema of the properties", "Schema", *_ALL),
    _document(
        f"{_COLLECTION}/schema/feature",
        "getFeatureSchema",
        "Schema of a GeoJSON feature",
        "Schema",
        *_ALL,
    ),
    _document(f"{_COLLECTION}/queryables", "getQueryables", "Queryables", "Schema", *_ALL),
    _document(f"{_COLLECTION}/sortables", "getSortables", "Sortables", "Schema", *_ALL),
    Operation(
        _ITEMS,
        "getFeatures",
        "A page of features",
        "Features",
        _READ,
        _ITEMS_PARAMETERS,
        filters=True,
    ),
    Operation(
        _ITEM,
        "getFeature",
        "One feature",
        "Feature",
        _READ,
        (*_ITEM_PARAMETERS, "If-None-Match", "If-Modified-Since"),
        also=((304, "NotModified"),),
    ),
    Operation(
        f"{_COLLECTION}/export",
        "exportFeatures",
        "Export of all features",
        "Export",
        _READ,
        _EXPORT_PARAMETERS,
        filters=True,
    ),
    Operation(
        f"{_COLLECTION}/changes",
        "getChanges",
        "Stream of changes",
        "Changes",
        (*_ALL, 403, 409),
        (*_CHANGES_PARAMETERS, "Last-Event-ID"),
        filters=True,
        needs="publication",
    ),
    _document(_TILES, "collection.vector.getTileSetsList", "Tilesets", "TileSets", *_ALL),
    _tileset(
        f"{_TILES}{_TILESET}",
        "collection.vector.getTileSet",
        "A tileset",
        *_TILESET_PARAMETERS,
        filters=True,
    ),
    _tile(
        f"{_TILES}{_TILE}",
        "collection.vector.getTile",
        "A tile",
        *_TILE_PATH,
        *_TILE_PARAMETERS,
        filters=True,
    ),
    _tile(
        f"{_TILES}{_XYZ_TILE}",
        "collection.vector.getTileByXyz",
        "A tile by zoom, column and row",
        *_XYZ_TILE_PATH,
        *_TILE_PARAMETERS,
        filters=True,
    ),
    _style(
        f"{_COLLECTION}/style",
        "collection.vector.getStyle",
        "A map style",
        *_STYLE_PARAMETERS,
        filters=True,
    ),
    _style(
        "/style",
        "dataset.vector.getStyle",
        "A map style of several collections",
        *_DATASET_PARAMETERS,
        "f-style",
        filters=False,
    ),
    _document("/tiles", "dataset.vector.getTileSetsList", "Tilesets", "TileSets", *_ALL),
    _tileset(
        f"/tiles{_TILESET}",
        "dataset.vector.getTileSet",
        "A tileset of several collections",
        *_DATASET_PARAMETERS,
        "f-tileset",
        filters=False,
    ),
    _tile(
        f"/tiles{_TILE}",
        "dataset.vector.getTile",
        "A tile of several collections",
        *_TILE_PATH,
        *_DATASET_PARAMETERS,
        "f-tile",
        filters=False,
    ),
    _tile(
        f"/tiles{_XYZ_TILE}",
        "dataset.vector.getTileByXyz",
        "A tile of several collections by zoom, column and row",
        *_XYZ_TILE_PATH,
        *_DATASET_PARAMETERS,
        "f-tile",
        filters=False,
    ),
    _document(
        "/tileMatrixSets", "getTileMatrixSetsList", "Tile matrix sets", "TileMatrixSets", *_ALWAYS
    ),
    _matrix_set(),
    Operation(
        f"{_COLLECTION}/search",
        "searchFeatures",
        "Search with a posted geometry",
        "Found",
        (*_ALL, *_POSTED),
        ("f-export",),
        method="post",
        body="search",
    ),
    Operation(
        _ITEMS, "getItemsOptions", "Methods of the features", "ItemsOptions", _ALL, method="options"
    ),
    Operation(
        _ITEMS,
        "createFeatures",
        "Create a feature, or many",
        "Created",
        (*_WRITING, *_POSTED),
        ("dry-run", "repair", "upsert", "Prefer", "Content-Crs", "Idempotency-Key"),
        method="post",
        status=201,
        also=((200, "Loaded"),),
        body="create",
        needs="insertable",
    ),
    Operation(
        _ITEM, "getItemOptions", "Methods of a feature", "ItemOptions", _ALL, method="options"
    ),
    _change(
        "put", "replaceFeature", "Replace a feature", "replace", (201, "Created"), (204, "Stored")
    ),
    _change("patch", "updateFeature", "Update parts of a feature", "patch", (204, "Stored")),
    Operation(
        _ITEM,
        "deleteFeature",
        "Delete a feature",
        "Stored",
        (*_WRITING, 412, 428),
        _CHANGE_PARAMETERS,
        method="delete",
        status=204,
        needs="deletable",
    ),
)
