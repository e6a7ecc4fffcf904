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
    OPENAPI,
    PROBLEM,
    SCHEMA_TYPES,
    MediaType,
)
from geosvc.openapi.components import ref

_EVERYWHERE = ("X-Request-ID", "Server-Timing")
_VALIDATORS = ("ETag", "Last-Modified")
_CACHED = ("ETag", "Cache-Control")
_PAGE = ("Content-Crs", "Link", "Geosvc-Limit-Applied")
_WRITTEN = ("Preference-Applied", "Geometry-Repaired", "Idempotency-Replayed")


def _response(description: str, content: Mapping[str, Json], *headers: str) -> Json:
    response: Json = {"description": description}
    response["headers"] = {name: ref("headers", name) for name in (*_EVERYWHERE, *headers)}
    if content:
        response["content"] = {essence: {"schema": content[essence]} for essence in content}
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
    by_status: dict[int, list[type[RequestError]]] = {}
    for error in _errors():
        by_status.setdefault(error.status, []).append(error)
    problems: Json = {}
    for status, errors in by_status.items():
        titles = dict.fromkeys(error.title() for error in errors)
        description = " ".join(f"{title}." for title in titles)
        content = {PROBLEM.essence: ref("schemas", "problem"), HTML.essence: TEXT}
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
    items = _content(formats.items_types, TEXT) | {
        GEOJSON.essence: ref("schemas", "featureCollection")
    }
    found = dict(items)
    found.pop(HTML.essence, None)
    feature = {GEOJSON.essence: ref("schemas", "feature")}
    item = _content(formats.item_types, TEXT) | feature
    schema = _content(SCHEMA_TYPES, {"type": "object"}) | {HTML.essence: TEXT}
    api = {OPENAPI.content_type: {"type": "object"}, JSON.essence: {"type": "object"}}
    returned = "The feature, if the client prefers return=representation."
    stored = ("Content-Crs", *_VALIDATORS, *_WRITTEN)
    made = {**feature, JSON.essence: ref("schemas", "loadReport")}

    return {
        "LandingPage": _document("Links to all other resources.", "landingPage"),
        "Conformance": _document("The URIs of the conformance classes.", "conformance"),
        "Functions": _document("The functions.", "functions"),
        "Collections": _document("The collections.", "collections"),
        "Collection": _document("The collection.", "collection"),
        "Api": _response("An OpenAPI 3.0 document.", api, *_CACHED),
        "Schema": _response("A JSON Schema.", schema, *_CACHED),
        "DocumentNotModified": _response("The copy of the client is current.", {}, *_CACHED),
        "Features": _response("The features of the page.", items, *_PAGE),
        "Found": _response("The features that were found.", found, *_PAGE, "Geosvc-Next-Cursor"),
        "Feature": _response("The feature.", item, "Content-Crs", *_VALIDATORS),
        "Export": _response(
            "The features, streamed.", found, "Content-Crs", "Link", "Content-Disposition"
        ),
        "Changes": _response("Server-sent events.", {EVENTS.essence: TEXT}),
        "NotModified": _response(
            "The copy of the client is current.", {}, "Content-Crs", *_VALIDATORS
        ),
        "Created": _response(
            f"{returned} For several features, a report.",
            made,
            "Location",
            "Content-Crs",
            *_VALIDATORS,
            *_WRITTEN,
        ),
        "Changed": _response(returned, feature, *stored),
        "Stored": _response("The change is stored.", {}, *_VALIDATORS, *_WRITTEN),
        "Loaded": _response("A report of the features, or of those of a dry run.", made, *stored),
        "ItemsOptions": _response("The methods and media types.", {}, "Allow", "Accept-Post"),
        "ItemOptions": _response("The methods and media types.", {}, "Allow", "Accept-Patch"),
        **_problems(),
    }
