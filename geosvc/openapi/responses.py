"""The responses as components: one for each kind of success, one for each status of an error."""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus

from geosvc.encode.json_schema import TEXT, Json
from geosvc.errors import MethodNotAllowed, RequestError
from geosvc.formats import FeatureFormats
from geosvc.model.media_type import (
    EVENTS,
    GEOJSON,
    HTML,
    JSON,
    MAP_STYLE,
    MVT,
    OPENAPI,
    PROBLEM,
    SCHEMA_TYPES,
    TILEJSON,
    MediaType,
)
from geosvc.openapi.components import ref

_EVERYWHERE = ("X-Request-ID", "Server-Timing")
_VALIDATORS = ("ETag", "Last-Modified")
_CACHED = ("ETag", "Cache-Control")
_PAGE = ("Content-Crs", "Link", "Geosvc-Limit-Applied")
_WRITTEN = ("Preference-Applied", "Geometry-Repaired", "Idempotency-Replayed")
_CURRENT = "The copy of the client is current."
_OBJECT: Json = {"type": "object"}


def _response(description: str, content: Mapping[str, Json], *headers: str) -> Json:
    """A response.

    Args:
        content: the schema of each media type; empty without a body.
        headers: names of components, besides those that every response has.
    """
    response: Json = {"description": description}
    response["headers"] = {}
    for name in (*_EVERYWHERE, *headers):
        response["headers"][name] = ref("headers", name)
    if content:
        response["content"] = {}
        for essence, schema in content.items():
            response["content"][essence] = {"schema": schema}
    return response


def response_name(status: int) -> str:
    """The component of the status of an error."""
    return HTTPStatus(status).phrase.title().replace(" ", "")


def _errors(error: type[RequestError] = RequestError) -> Iterator[type[RequestError]]:
    """Yields the classes of all errors below one."""
    for subclass in error.__subclasses__():
        yield subclass
        yield from _errors(subclass)


def _problems() -> Json:
    """A response for each status that an error has."""
    errors_by_status: dict[int, list[type[RequestError]]] = {}
    for error in _errors():
        errors_by_status.setdefault(error.status, []).append(error)
    content = {PROBLEM.essence: ref("schemas", "problem"), HTML.essence: TEXT}
    problems: Json = {}
    for status, errors in errors_by_status.items():
        titles = dict.fromkeys(error.title() for error in errors)
        description = " ".join(f"{title}." for title in titles)
        headers = _error_headers(status, errors)
        problems[response_name(status)] = _response(description, content, *headers)
    return problems


def _error_headers(status: int, errors: Iterable[type[RequestError]]) -> list[str]:
    """The headers that a response with this status may have."""
    headers: set[str] = set()
    for error in errors:
        if error.retry_after_seconds is not None:
            headers.add("Retry-After")
        if issubclass(error, MethodNotAllowed):
            headers.add("Allow")
    if status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        headers.update(("Accept-Post", "Accept-Patch", "Accept-Encoding"))
    return sorted(headers, reverse=True)


def _content(media_types: Iterable[MediaType], schema: Json) -> dict[str, Json]:
    """The same schema for each of these media types."""
    return {media_type.essence: schema for media_type in media_types}


def _document(description: str, schema: str) -> Json:
    content = {JSON.essence: ref("schemas", schema), HTML.essence: TEXT}
    return _response(description, content, *_CACHED)


def responses(formats: FeatureFormats) -> Json:
    """The components of all responses, by name."""
    return {
        **_document_responses(),
        **_feature_responses(formats),
        **_write_responses(),
        **_problems(),
    }


def _document_responses() -> Json:
    schema = _content(SCHEMA_TYPES, _OBJECT)
    schema[HTML.essence] = TEXT
    document = {JSON.essence: _OBJECT, HTML.essence: TEXT}
    tileset = {**document, TILEJSON.essence: _OBJECT}
    binary: Json = {"type": "string", "format": "binary"}
    api = {OPENAPI.content_type: _OBJECT, JSON.essence: _OBJECT}
    return {
        "LandingPage": _document("Links to all other resources.", "landingPage"),
        "Conformance": _document("The URIs of the conformance classes.", "conformance"),
        "Functions": _document("The functions.", "functions"),
        "Collections": _document("The collections.", "collections"),
        "Collection": _document("The collection.", "collection"),
        "TileSets": _response("The tilesets.", document, *_CACHED),
        "TileSet": _response("The tileset.", tileset, *_CACHED),
        "TileMatrixSets": _response("The tile matrix sets.", document, *_CACHED),
        "TileMatrixSet": _response("The tile matrix set.", document, *_CACHED),
        "Style": _response("The style.", {MAP_STYLE.essence: _OBJECT}, *_CACHED),
        "Tile": _response("The tile.", {MVT.essence: binary}, *_CACHED, "Geosvc-Tile"),
        "EmptyTile": _response("The tile has no features.", {}, "ETag", "OATiles-hint"),
        "Api": _response("An OpenAPI 3.0 document.", api, *_CACHED),
        "Schema": _response("A JSON Schema.", schema, *_CACHED),
        "DocumentNotModified": _response(_CURRENT, {}, *_CACHED),
    }


def _feature_responses(formats: FeatureFormats) -> Json:
    items = _content(formats.items_types, TEXT)
    items[GEOJSON.essence] = ref("schemas", "featureCollection")
    without_page = dict(items)
    without_page.pop(HTML.essence, None)
    item = _content(formats.item_types, TEXT)
    item[GEOJSON.essence] = ref("schemas", "feature")
    events = {EVENTS.essence: TEXT}
    found = (*_PAGE, "Geosvc-Next-Cursor")
    export = ("Content-Crs", "Link", "Content-Disposition")
    return {
        "Features": _response("The features of the page.", items, *_PAGE),
        "Found": _response("The features that were found.", without_page, *found),
        "Feature": _response("The feature.", item, "Content-Crs", *_VALIDATORS),
        "Export": _response("The features, streamed.", without_page, *export),
        "Changes": _response("Server-sent events.", events),
        "NotModified": _response(_CURRENT, {}, "Content-Crs", *_VALIDATORS),
    }


def _write_responses() -> Json:
    feature = {GEOJSON.essence: ref("schemas", "feature")}
    feature_or_report = {**feature, JSON.essence: ref("schemas", "loadReport")}
    returned = "The feature, if the client prefers return=representation."
    created = f"{returned} For several features, a report."
    loaded = "A report of the features, or of those of a dry run."
    methods = "The methods and media types."
    stored = ("Content-Crs", *_VALIDATORS, *_WRITTEN)
    return {
        "Created": _response(created, feature_or_report, "Location", *stored),
        "Changed": _response(returned, feature, *stored),
        "Stored": _response("The change is stored.", {}, *_VALIDATORS, *_WRITTEN),
        "Loaded": _response(loaded, feature_or_report, *stored),
        "ItemsOptions": _response(methods, {}, "Allow", "Accept-Post"),
        "ItemOptions": _response(methods, {}, "Allow", "Accept-Patch"),
    }
