"""The OpenAPI 3.0.3 description, made from what the requests are parsed by and from what the errors say of themselves.

Paths are literal, one set for each collection: GDAL and QGIS look for `/collections/countries/items` and take from it
which properties they can filter by; a path with a placeholder tells them nothing. They take the size of a page from the
component named `limit`. Source: OGC 17-069r4 7.3 and 9; OpenAPI 3.0.3.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson

from geosvc import __version__
from geosvc.encode.json_schema import TEXT, Json
from geosvc.errors import MethodNotAllowed, RequestError
from geosvc.model.catalog import Catalog
from geosvc.model.collection import Collection
from geosvc.model.crs import CRS84_URI, Crs, Srid, listed_crs
from geosvc.model.media_type import (
    ALIASES,
    DOCUMENT_TYPES,
    EXPORT_TYPES,
    GEOJSON,
    GEOJSONSEQ,
    HTML,
    ITEM_TYPES,
    ITEMS_TYPES,
    JSON,
    MERGE_PATCH,
    OPENAPI,
    PROBLEM,
    SCHEMA_TYPES,
)
from geosvc.openapi.operations import OPERATIONS, Operation
from geosvc.openapi.schemas import HEADERS, SCHEMAS, describe_type, ref
from geosvc.requests.items import DECLARED, FORMAT, Declared, Limits
from geosvc.requests.property_parameters import property_parameters

GENERAL_TAG = "Capabilities"
_RESERVED = frozenset(each.name for each in DECLARED)
_OF_CRS = ("crs", "bbox-crs", "filter-crs")  # parameters that take what a collection lists
_VALIDATORS = ("ETag", "Last-Modified")
_CACHED = ("ETag", "Cache-Control")
_WRITTEN = ("Preference-Applied", "Geometry-Repaired", "Idempotency-Replayed")
_FLAGS = {
    "dry-run": "Everything is checked and nothing stored.",
    "repair": "What can be mended in a geometry is mended.",
    "upsert": "A feature whose id is taken replaces the one that has it.",
}
_REQUEST_HEADERS = {
    "If-Match": "Only if the feature has one of these ETags, or, with *, if there is one.",
    "If-None-Match": "Only if the feature has none of these ETags, or, with *, if there is none.",
    "If-Unmodified-Since": "Only if the feature was not changed since; If-Match beats it.",
    "If-Modified-Since": "Only if the feature was changed since; If-None-Match beats it.",
    "Prefer": "return=representation or minimal, handling=strict or lenient.",
    "Content-Crs": "The reference system of the posted coordinates: one that the collection lists, CRS84 by default.",
    "Idempotency-Key": "The same request with the same key is carried out once.",
}
_EXTENT = Declared(
    "extent",
    "exact reads every row for the extent, within the time box; estimated costs no scan.",
    {"type": "string", "enum": ["estimated", "exact"], "default": "estimated"},
)


def _query_parameter(name: str, description: str, schema: Mapping[str, Any], required: bool = False) -> Json:
    """QGIS takes a property for one to filter by only when style and explode are written out."""
    described: Json = {"name": name, "in": "query", "description": description, "style": "form", "explode": False}
    if required:
        described["required"] = True
    return {**described, "schema": schema}


def _own_parameters(collection: Collection) -> Iterator[Json]:
    """Those of the function, then the queryables."""
    for parameter in collection.parameters or ():
        if parameter.name not in _RESERVED:
            description = f"Argument of the function ({parameter.type})."
            yield _query_parameter(parameter.name, description, describe_type(parameter), parameter.required)
    for column in property_parameters(collection):
        meaning = column.description or "Only features with this value."
        yield _query_parameter(column.name, f"{meaning} ({column.type})", describe_type(column))


def _feature_id(collection: Collection) -> Json:
    key = collection.key_columns
    if len(key) == 1:
        description, schema = f"The value of {key[0].name}.", describe_type(key[0])
    else:
        names = ", ".join(column.name for column in key)
        description = f"The values of {names} with commas between them; a backslash takes the next character as it is."
        schema = TEXT
    return {"name": "featureId", "in": "path", "required": True, "description": description, "schema": schema}


def _component(name: str, listed: Sequence[Crs]) -> str:
    """The name of a parameter's component: those of reference systems differ with what a collection lists."""
    return f"{name}.{zlib.crc32(' '.join(crs.uri for crs in listed).encode()):08x}" if name in _OF_CRS else name


def _operation_of(operation: Operation) -> Callable[[str, str, Iterable[Json], Sequence[Crs]], Json]:
    """What all collections have alike in this operation is made once."""

    @cache
    def shared(listed: tuple[Crs, ...]) -> list[Json]:
        return [ref("parameters", _component(name, listed)) for name in operation.parameters]

    answers = {str(status): ref("responses", name) for status, name in ((operation.status, operation.answer), *operation.also)}
    answers |= {str(status): ref("responses", _response_name(status)) for status in sorted(operation.errors)}
    body = {"requestBody": ref("requestBodies", operation.body)} if operation.body is not None else {}

    def describe(operation_id: str, tag: str, own: Iterable[Json], listed: Sequence[Crs]) -> Json:
        return {
            "tags": [tag],
            "operationId": operation_id,
            "summary": operation.summary,
            "parameters": [*own, *shared(tuple(listed))],
            **body,
            "responses": answers,
        }

    return describe


def _paths(collections: Iterable[Collection], configured: Sequence[Srid]) -> Json:
    """Collections without a key have no path of a feature: their features have no id."""
    describers = [(operation, _operation_of(operation)) for operation in OPERATIONS]
    paths: Json = {
        operation.path: {"get": describe(operation.operation_id, GENERAL_TAG, (), ())}
        for operation, describe in describers
        if "{collectionId}" not in operation.path
    }
    for collection in collections:
        encoded = quote(collection.id, safe="")
        own, listed = list(_own_parameters(collection)), listed_crs(collection, configured)
        for operation, describe in describers:
            single = "{featureId}" in operation.path
            if "{collectionId}" not in operation.path or (single and not collection.key):
                continue
            if operation.needs is not None and not getattr(collection, operation.needs):
                continue
            parameters = [_feature_id(collection)] if single else own if operation.filters else ()
            described = describe(f"{operation.operation_id}.{encoded}", collection.id, parameters, listed)
            paths.setdefault(operation.path.replace("{collectionId}", encoded), {})[operation.method] = described
    return paths


def _parameters_of_crs(collections: Iterable[Collection], configured: Sequence[Srid]) -> Json:
    declared: Json = {}
    for listed in {listed_crs(collection, configured): None for collection in collections}:
        uris = [crs.uri for crs in listed]
        for each in DECLARED:
            if each.name in _OF_CRS:
                default = uris[0] if each.name == "crs" else CRS84_URI
                schema = {**each.schema, "enum": uris, "default": default}
                declared[_component(each.name, listed)] = _query_parameter(each.name, each.description, schema)
    return declared


def _parameters(limits: Limits) -> Json:
    declared = {each.name: _query_parameter(each.name, each.description, each.schema) for each in (*DECLARED, _EXTENT)}
    for name in _OF_CRS:
        del declared[name]
    page = {"minimum": 1, "maximum": limits.maximum, "default": limits.default}
    declared["limit"]["schema"] = {**declared["limit"]["schema"], **page}
    for name, offered in (
        ("f", ITEMS_TYPES),
        ("f-export", EXPORT_TYPES),
        ("f-item", ITEM_TYPES),
        ("f-document", DOCUMENT_TYPES),
        ("f-api", (JSON,)),
    ):
        names = [name for each in offered for name in (each.short, *ALIASES.get(each, ())) if "/" not in name]
        declared[name] = _query_parameter(FORMAT.name, FORMAT.description, {**FORMAT.schema, "enum": names})
    declared |= {name: _query_parameter(name, text, {"type": "boolean", "default": False}) for name, text in _FLAGS.items()}
    declared |= {
        name: {"name": name, "in": "header", "description": text, "schema": TEXT} for name, text in _REQUEST_HEADERS.items()
    }
    return declared


def _request_bodies() -> Json:
    """What is posted."""
    feature, features = ref("schemas", "feature"), ref("schemas", "featureCollection")
    content = {
        "Feature": {GEOJSON.essence: feature},
        "Features": {GEOJSON.essence: {"oneOf": [feature, features]}, GEOJSONSEQ.essence: TEXT},
        "Search": {JSON.essence: ref("schemas", "search")},
        "MergePatch": {MERGE_PATCH.essence: ref("schemas", "mergePatch")},
    }
    return {
        name: {"required": True, "content": {media_type: {"schema": schema} for media_type, schema in each.items()}}
        for name, each in content.items()
    }


def _response(description: str, content: Mapping[str, Json], *headers: str) -> Json:
    described: Json = {"description": description}
    described["headers"] = {name: ref("headers", name) for name in ("X-Request-ID", *headers)}
    if content:
        described["content"] = {media_type: {"schema": schema} for media_type, schema in content.items()}
    return described


def _response_name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")


def _errors(error: type[RequestError] = RequestError) -> Iterator[type[RequestError]]:
    for each in error.__subclasses__():
        yield each
        yield from _errors(each)


def _problems() -> Json:
    """A response for each status that the tree of errors knows."""
    by_status: dict[int, list[type[RequestError]]] = {}
    for error in _errors():
        by_status.setdefault(error.status, []).append(error)
    problems: Json = {}
    for status, errors in by_status.items():
        description = " ".join(dict.fromkeys(f"{error.title()}." for error in errors))
        headers = ["Retry-After"] if any(error.retry_after_seconds is not None for error in errors) else []
        headers += ["Allow"] if any(issubclass(error, MethodNotAllowed) for error in errors) else []
        headers += ["Accept-Post", "Accept-Patch", "Accept-Encoding"] if status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE else []
        content = {PROBLEM.essence: ref("schemas", "problem")}
        problems[_response_name(status)] = _response(description, content, *headers)
    return problems


def _responses() -> Json:
    features = ref("schemas", "featureCollection")
    items = {each.essence: features if each is GEOJSON else TEXT for each in ITEMS_TYPES}
    found = {name: schema for name, schema in items.items() if name != HTML.essence}
    feature = {GEOJSON.essence: ref("schemas", "feature")}
    item = {each.essence: TEXT for each in ITEM_TYPES} | feature
    schema = {each.essence: TEXT if each is HTML else {"type": "object"} for each in SCHEMA_TYPES}
    api = {OPENAPI.content_type: {"type": "object"}, JSON.essence: {"type": "object"}}

    def document(description: str, schema: str) -> Json:
        return _response(description, {JSON.essence: ref("schemas", schema), HTML.essence: TEXT}, *_CACHED)

    return {
        "LandingPage": document("Links to everything else.", "landingPage"),
        "Conformance": document("The URIs of the conformance classes.", "conformance"),
        "Functions": document("The functions.", "functions"),
        "Collections": document("The collections.", "collections"),
        "Collection": document("The collection.", "collection"),
        "Api": _response("An OpenAPI 3.0 document.", api, *_CACHED),
        "Schema": _response("A JSON Schema.", schema, *_CACHED),
        "DocumentNotModified": _response("The client has it already.", {}, *_CACHED),
        "Features": _response("The features of the page.", items, "Content-Crs", "Link"),
        "Found": _response("The features that were found.", found, "Content-Crs", "Link"),
        "Feature": _response("The feature.", item, "Content-Crs", *_VALIDATORS),
        "Export": _response("The features, streamed.", found, "Content-Crs", "Link", "Content-Disposition"),
        "NotModified": _response("The client has it already.", {}, "Content-Crs", *_VALIDATORS),
        "Created": _response(
            "The feature, if it is wanted in return.", feature, "Location", "Content-Crs", *_VALIDATORS, *_WRITTEN
        ),
        "Changed": _response("The feature, if it is wanted in return.", feature, "Content-Crs", *_VALIDATORS, *_WRITTEN),
        "Stored": _response("It is done.", {}, *_VALIDATORS, *_WRITTEN),
        "Loaded": _response("What became of the features.", {JSON.essence: ref("schemas", "loadReport")}, *_WRITTEN),
        "ItemsOptions": _response("The methods and media types.", {}, "Allow", "Accept-Post"),
        "ItemOptions": _response("The methods and media types.", {}, "Allow", "Accept-Patch"),
        **_problems(),
    }


def _head(base: str) -> Json:
    """What comes first, and all that differs from one `base` to another."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "geosvc",
            "version": __version__,
            "description": "Spatial tables of a PostGIS database as GeoJSON. Whatever answers GET answers HEAD and "
            "OPTIONS as well, and any other method with 405. A parameter that is not described is refused with 400.",
        },
        "servers": [{"url": base}],
    }


def _contents(collections: Sequence[Collection], limits: Limits, configured: Sequence[Srid]) -> Json:
    tags = {GENERAL_TAG: {"name": GENERAL_TAG, "description": "What is there."}}
    for each in collections:
        tags.setdefault(each.id, {"name": each.id, "description": each.description or each.title})
    return {
        "tags": list(tags.values()),
        "paths": _paths(collections, configured),
        "components": {
            "schemas": SCHEMAS,
            "parameters": _parameters(limits) | _parameters_of_crs(collections, configured),
            "headers": HEADERS,
            "requestBodies": _request_bodies(),
            "responses": _responses(),
        },
    }


def describe_api(base: str, collections: Sequence[Collection], limits: Limits, configured: Sequence[Srid] = ()) -> Json:
    """The whole description; `base` is the root that clients see, without a slash at its end.

    Args:
        configured: EPSG codes of the settings.
    """
    return {**_head(base), **_contents(collections, limits, configured)}


class ApiWriter:
    """Writes the description as JSON. All but its head is kept for the latest catalog: 1,000 collections of 20 columns
    are 13 MB, made in 50 ms.
    """

    def __init__(self) -> None:
        self._made_for: tuple[Catalog, Limits, tuple[Srid, ...]] | None = None
        self._contents = b""

    def write(self, base: str, catalog: Catalog, limits: Limits, configured: tuple[Srid, ...] = ()) -> bytes:
        """What `describe_api` describes, in the order of the catalog."""
        if self._made_for is None or self._made_for[0] is not catalog or self._made_for[1:] != (limits, configured):
            self._contents = orjson.dumps(_contents(tuple(catalog.collections.values()), limits, configured))
            self._made_for = catalog, limits, configured
        return orjson.dumps(_head(base))[:-1] + b"," + self._contents[1:]
