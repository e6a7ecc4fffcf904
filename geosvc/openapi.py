"""The OpenAPI 3.0.3 description, made from what the requests are parsed by and from what the errors say of themselves.

Paths are literal, one set for each collection: GDAL and QGIS look for `/collections/countries/items` and take from it
which properties they can filter by; a path with a placeholder tells them nothing. They take the size of a page from the
component named `limit`. Source: OGC 17-069r4 7.3 and 9; OpenAPI 3.0.3.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson

from geosvc import __version__
from geosvc.errors import MethodNotAllowed, RequestError
from geosvc.model.catalog import Catalog
from geosvc.model.collection import Collection, Column, TypedName
from geosvc.model.crs import CRS84_URI
from geosvc.model.media_type import ALIASES, DOCUMENT_TYPES, GEOJSON, ITEM_TYPES, ITEMS_TYPES, JSON, OPENAPI, PROBLEM
from geosvc.requests.items import DECLARED, FORMAT, ITEM_DECLARED, Declared, Limits

Json = dict[str, Any]

GENERAL_TAG = "Capabilities"
_ALWAYS = (400, 405, 406, 500)
_DATABASE = (*_ALWAYS, 503, 504)
_ALL = (*_DATABASE, 404)
_RESERVED = frozenset(each.name for each in DECLARED)
_PAGING = frozenset({"limit", "offset", "cursor", "count"})
_EXTENT = Declared(
    "extent",
    "exact reads every row for the extent, within the time box; estimated costs no scan.",
    {"type": "string", "enum": ["estimated", "exact"], "default": "estimated"},
)
_ITEMS_PARAMETERS = tuple(each.name for each in DECLARED)
_ITEM_PARAMETERS = tuple("f-item" if each is FORMAT else each.name for each in ITEM_DECLARED)
_EXPORT_PARAMETERS = tuple(name for name in _ITEMS_PARAMETERS if name not in _PAGING)
_DOCUMENT_PARAMETERS = ("f-document",)
_COLLECTION = "/collections/{collectionId}"


@dataclass(frozen=True, slots=True)
class Operation:
    """A GET of `routes.ROUTES`, as it is described.

    Attributes:
        path: with `{collectionId}` where every collection has a path of its own.
        parameters: names of components.
        answer: the component of the response 200.
        errors: the statuses that it can fail with.
        filters: whether it takes the queryables and, of a function, the parameters.
    """

    path: str
    operation_id: str
    summary: str
    parameters: tuple[str, ...]
    answer: str
    errors: tuple[int, ...]
    filters: bool = False


OPERATIONS = (
    Operation("/", "getLandingPage", "Where everything else is", _DOCUMENT_PARAMETERS, "LandingPage", _ALWAYS),
    Operation("/api", "getApi", "This description", _DOCUMENT_PARAMETERS, "Api", (*_ALWAYS, 503)),
    Operation("/conformance", "getConformanceDeclaration", "What holds", _DOCUMENT_PARAMETERS, "Conformance", _ALWAYS),
    Operation("/collections", "getCollections", "All collections", _DOCUMENT_PARAMETERS, "Collections", _DATABASE),
    Operation(_COLLECTION, "describeCollection", "What it is", ("extent", *_DOCUMENT_PARAMETERS), "Collection", _ALL),
    Operation(f"{_COLLECTION}/items", "getFeatures", "A page of features", _ITEMS_PARAMETERS, "Features", _ALL, True),
    Operation(f"{_COLLECTION}/items/{{featureId}}", "getFeature", "One feature", _ITEM_PARAMETERS, "Feature", _ALL),
    Operation(f"{_COLLECTION}/export", "exportFeatures", "All features that match", _EXPORT_PARAMETERS, "Export", _ALL, True),
)

_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?$"
_TYPES: Mapping[str, Json] = {
    **{
        f"int{bits // 8}": {
            "type": "integer",
            **({"format": f"int{bits}"} if bits > 16 else {}),
            "minimum": -(1 << (bits - 1)),
            "maximum": (1 << (bits - 1)) - 1,
        }
        for bits in (16, 32, 64)
    },
    "oid": {"type": "integer", "minimum": 0, "maximum": (1 << 32) - 1},
    "float4": {"type": "number", "format": "float"},
    "float8": {"type": "number", "format": "double"},
    "numeric": {"type": "number"},
    "bool": {"type": "boolean"},
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
    "timestamptz": {"type": "string", "format": "date-time"},
    "time": {"type": "string", "pattern": _TIME},
    "timetz": {"type": "string", "pattern": _TIME},
}


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _of(items: Json) -> Json:
    return {"type": "array", "items": items}


def _object(required: Iterable[str] = (), **properties: Json) -> Json:
    described: Json = {"type": "object", "properties": properties}
    if names := list(required):
        described["required"] = names
    return described


_TEXT: Json = {"type": "string"}
_URI: Json = {"type": "string", "format": "uri"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_LINKS = _of(_ref("schemas", "link"))
_NUMBERS = _of({"type": "number"})
_SCHEMAS: Mapping[str, Json] = {
    "problem": _object(
        ("type", "title", "status", "detail", "request_id"),
        type=_URI,
        title=_TEXT,
        status={"type": "integer", "minimum": 400, "maximum": 599},
        detail=_TEXT,
        request_id=_TEXT,
        parameter={"type": "string", "description": "The parameter at fault."},
    ),
    "link": _object(("href", "rel"), href=_TEXT, rel=_TEXT, type=_TEXT, title=_TEXT),
    "landingPage": _object(("links",), title=_TEXT, description=_TEXT, links=_LINKS),
    "conformance": _object(("conformsTo",), conformsTo=_of(_URI), links=_LINKS),
    "collections": _object(("links", "collections"), links=_LINKS, collections=_of(_ref("schemas", "collection"))),
    "collection": _object(
        ("id", "links"),
        id=_TEXT,
        title=_TEXT,
        description=_TEXT,
        itemType=_TEXT,
        crs=_of(_URI),
        extent=_ref("schemas", "extent"),
        links=_LINKS,
    ),
    "extent": _object(
        spatial=_object(bbox=_of({**_NUMBERS, "minItems": 4, "maxItems": 6}), crs=_URI),
        temporal=_object(interval=_of(_of({"type": "string", "nullable": True})), trs=_URI),
    ),
    "geometry": {
        **_object(("type",), type=_TEXT, coordinates=_of({}), geometries=_of({"type": "object"})),
        "nullable": True,
        "description": "GeoJSON, RFC 7946; null for a feature without a geometry.",
    },
    "feature": _object(
        ("type", "geometry", "properties"),
        type={"type": "string", "enum": ["Feature"]},
        id={"oneOf": [_TEXT, {"type": "integer"}]},
        geometry=_ref("schemas", "geometry"),
        properties={"type": "object", "nullable": True},
        links=_LINKS,
    ),
    "featureCollection": _object(
        ("type", "features"),
        type={"type": "string", "enum": ["FeatureCollection"]},
        features=_of(_ref("schemas", "feature")),
        links=_LINKS,
        timeStamp={"type": "string", "format": "date-time"},
        numberMatched=_COUNT,
        numberMatchedEstimate=_COUNT,
        numberReturned=_COUNT,
    ),
}

_HEADERS: Mapping[str, Json] = {
    "X-Request-ID": {"description": "The id of the request, the client's own if it sent one.", "schema": _TEXT},
    "Content-Crs": {
        "description": "The CRS of the coordinates.",
        "schema": {"type": "string", "enum": [f"<{CRS84_URI}>"]},
    },
    "Content-Disposition": {"description": "The name of the file.", "schema": _TEXT},
    "Retry-After": {"description": "Seconds to wait before asking again.", "schema": _COUNT},
    "Allow": {"description": "The methods that the resource takes.", "schema": _TEXT},
}


def describe_type(typed: TypedName) -> Json:
    """The schema of a value of this type as text in a URL; what PostgreSQL alone can check is any text."""
    if typed.enum is not None:
        return {"type": "string", "enum": list(typed.enum)}
    return _TYPES.get(typed.type_name, _TEXT) if typed.type_schema == "pg_catalog" else _TEXT


def _query_parameter(name: str, description: str, schema: Mapping[str, Any], required: bool = False) -> Json:
    """QGIS takes a property for one to filter by only when style and explode are written out."""
    described: Json = {"name": name, "in": "query", "description": description, "style": "form", "explode": False}
    if required:
        described["required"] = True
    return {**described, "schema": schema}


def queryables(collection: Collection) -> tuple[Column, ...]:
    """The columns that `property=value` filters by: those with a value that fits a URL and a name that is free."""
    taken = _RESERVED | {parameter.name for parameter in collection.parameters or ()}
    return tuple(column for column in collection.columns if column.scalar and column.name not in taken)


def _own_parameters(collection: Collection) -> Iterator[Json]:
    """Those of the function, then the queryables."""
    for parameter in collection.parameters or ():
        if parameter.name not in _RESERVED:
            description = f"Argument of the function ({parameter.type})."
            yield _query_parameter(parameter.name, description, describe_type(parameter), parameter.required)
    for column in queryables(collection):
        meaning = column.description or "Only features with this value."
        yield _query_parameter(column.name, f"{meaning} ({column.type})", describe_type(column))


def _feature_id(collection: Collection) -> Json:
    key = collection.key_columns
    if len(key) == 1:
        description, schema = f"The value of {key[0].name}.", describe_type(key[0])
    else:
        names = ", ".join(column.name for column in key)
        description = f"The values of {names} with commas between them; a backslash takes the next character as it is."
        schema = _TEXT
    return {"name": "featureId", "in": "path", "required": True, "description": description, "schema": schema}


def _operation_of(operation: Operation) -> Callable[[str, str, Iterable[Json]], Json]:
    """What all collections have alike in this operation is made once."""
    shared = [_ref("parameters", name) for name in operation.parameters]
    answers = {"200": _ref("responses", operation.answer)}
    answers |= {str(status): _ref("responses", _response_name(status)) for status in sorted(operation.errors)}

    def describe(operation_id: str, tag: str, own: Iterable[Json]) -> Json:
        return {
            "tags": [tag],
            "operationId": operation_id,
            "summary": operation.summary,
            "parameters": [*own, *shared],
            "responses": answers,
        }

    return describe


def _paths(collections: Iterable[Collection]) -> Json:
    """Collections without a key have no path of a feature: their features have no id."""
    describers = [(operation, _operation_of(operation)) for operation in OPERATIONS]
    paths: Json = {
        operation.path: {"get": describe(operation.operation_id, GENERAL_TAG, ())}
        for operation, describe in describers
        if "{collectionId}" not in operation.path
    }
    for collection in collections:
        encoded = quote(collection.id, safe="")
        own = list(_own_parameters(collection))
        for operation, describe in describers:
            single = "{featureId}" in operation.path
            if "{collectionId}" not in operation.path or (single and not collection.key):
                continue
            parameters = [_feature_id(collection)] if single else own if operation.filters else ()
            described = describe(f"{operation.operation_id}.{encoded}", collection.id, parameters)
            paths[operation.path.replace("{collectionId}", encoded)] = {"get": described}
    return paths


def _parameters(limits: Limits) -> Json:
    declared = {each.name: _query_parameter(each.name, each.description, each.schema) for each in (*DECLARED, _EXTENT)}
    page = {"minimum": 1, "maximum": limits.maximum, "default": limits.default}
    declared["limit"]["schema"] = {**declared["limit"]["schema"], **page}
    for name, offered in (("f", ITEMS_TYPES), ("f-item", ITEM_TYPES), ("f-document", DOCUMENT_TYPES)):
        names = [name for each in offered for name in (each.short, *ALIASES.get(each, ())) if "/" not in name]
        declared[name] = _query_parameter(FORMAT.name, FORMAT.description, {**FORMAT.schema, "enum": names})
    return declared


def _response(description: str, content: Mapping[str, Json], *headers: str) -> Json:
    return {
        "description": description,
        "headers": {name: _ref("headers", name) for name in ("X-Request-ID", *headers)},
        "content": {media_type: {"schema": schema} for media_type, schema in content.items()},
    }


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
        content = {PROBLEM.essence: _ref("schemas", "problem")}
        problems[_response_name(status)] = _response(description, content, *headers)
    return problems


def _responses() -> Json:
    features = _ref("schemas", "featureCollection")
    items = {each.essence: features if each is GEOJSON else _TEXT for each in ITEMS_TYPES}
    item = {each.essence: _ref("schemas", "feature") for each in ITEM_TYPES}
    api = {OPENAPI.content_type: {"type": "object"}, JSON.essence: {"type": "object"}}

    def document(description: str, schema: str) -> Json:
        return _response(description, {JSON.essence: _ref("schemas", schema)})

    return {
        "LandingPage": document("Links to everything else.", "landingPage"),
        "Conformance": document("The URIs of the conformance classes.", "conformance"),
        "Collections": document("The collections.", "collections"),
        "Collection": document("The collection.", "collection"),
        "Api": _response("An OpenAPI 3.0 document.", api),
        "Features": _response("The features of the page.", items, "Content-Crs"),
        "Feature": _response("The feature.", item, "Content-Crs"),
        "Export": _response("The features, streamed.", items, "Content-Crs", "Content-Disposition"),
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


def _contents(collections: Sequence[Collection], limits: Limits) -> Json:
    tags = {GENERAL_TAG: {"name": GENERAL_TAG, "description": "What is there."}}
    for each in collections:
        tags.setdefault(each.id, {"name": each.id, "description": each.description or each.title})
    return {
        "tags": list(tags.values()),
        "paths": _paths(collections),
        "components": {
            "schemas": _SCHEMAS,
            "parameters": _parameters(limits),
            "headers": _HEADERS,
            "responses": _responses(),
        },
    }


def describe_api(base: str, collections: Sequence[Collection], limits: Limits) -> Json:
    """The whole description; `base` is the root that clients see, without a slash at its end."""
    return {**_head(base), **_contents(collections, limits)}


class ApiWriter:
    """Writes the description as JSON. All but its head is kept for the latest catalog: 1,000 collections of 20 columns
    are 13 MB, made in 50 ms.
    """

    def __init__(self) -> None:
        self._made_for: tuple[Catalog, Limits] | None = None
        self._contents = b""

    def write(self, base: str, catalog: Catalog, limits: Limits) -> bytes:
        """What `describe_api` describes, in the order of the catalog."""
        if self._made_for is None or self._made_for[0] is not catalog or self._made_for[1] != limits:
            self._contents = orjson.dumps(_contents(tuple(catalog.collections.values()), limits))
            self._made_for = catalog, limits
        return orjson.dumps(_head(base))[:-1] + b"," + self._contents[1:]
