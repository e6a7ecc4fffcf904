"""The responses: a component for every kind of answer, and one for every status that an error of the tree has."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus

from geosvc.encode.json_schema import TEXT, Json
from geosvc.errors import MethodNotAllowed, RequestError
from geosvc.model.media_type import EVENTS, GEOJSON, HTML, ITEM_TYPES, ITEMS_TYPES, JSON, OPENAPI, PROBLEM, SCHEMA_TYPES
from geosvc.openapi.schemas import ref

_EVERYWHERE = ("X-Request-ID", "Server-Timing")
_VALIDATORS = ("ETag", "Last-Modified")
_CACHED = ("ETag", "Cache-Control")
_WRITTEN = ("Preference-Applied", "Geometry-Repaired", "Idempotency-Replayed")


def _response(description: str, content: Mapping[str, Json], *headers: str) -> Json:
    described: Json = {"description": description}
    described["headers"] = {name: ref("headers", name) for name in (*_EVERYWHERE, *headers)}
    if content:
        described["content"] = {media_type: {"schema": schema} for media_type, schema in content.items()}
    return described


def response_name(status: int) -> str:
    """The component of a status that errors have."""
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
        content = {PROBLEM.essence: ref("schemas", "problem"), HTML.essence: TEXT}
        problems[response_name(status)] = _response(description, content, *headers)
    return problems


def responses() -> Json:
    """The components."""
    features = ref("schemas", "featureCollection")
    items = {each.essence: features if each is GEOJSON else TEXT for each in ITEMS_TYPES}
    found = {essence: schema for essence, schema in items.items() if essence != HTML.essence}
    feature = {GEOJSON.essence: ref("schemas", "feature")}
    item = {each.essence: TEXT for each in ITEM_TYPES} | feature
    schema = {each.essence: TEXT if each is HTML else {"type": "object"} for each in SCHEMA_TYPES}
    api = {OPENAPI.content_type: {"type": "object"}, JSON.essence: {"type": "object"}}
    returned = "The feature, if it is wanted in return."
    stored = ("Content-Crs", *_VALIDATORS, *_WRITTEN)
    made = {**feature, JSON.essence: ref("schemas", "loadReport")}

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
        "Changes": _response("Server-sent events.", {EVENTS.essence: TEXT}),
        "NotModified": _response("The client has it already.", {}, "Content-Crs", *_VALIDATORS),
        "Created": _response(
            f"{returned} Of many, what became of them.", made, "Location", "Content-Crs", *_VALIDATORS, *_WRITTEN
        ),
        "Changed": _response(returned, feature, *stored),
        "Stored": _response("It is done.", {}, *_VALIDATORS, *_WRITTEN),
        "Loaded": _response("What would become of the features, or has.", made, *stored),
        "ItemsOptions": _response("The methods and media types.", {}, "Allow", "Accept-Post"),
        "ItemOptions": _response("The methods and media types.", {}, "Allow", "Accept-Patch"),
        **_problems(),
    }
