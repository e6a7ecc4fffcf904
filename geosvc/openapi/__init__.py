"""The OpenAPI 3.0.3 description, made from what the requests are parsed by and from what the errors say of themselves.

Paths are literal, one set for each collection: GDAL and QGIS look for `/collections/countries/items` and take from it
which properties they can filter by; a path with a placeholder tells them nothing. They take the size of a page from the
component named `limit`. Source: OGC 17-069r4 7.3 and 9; OpenAPI 3.0.3.
"""

from collections.abc import Iterable, Sequence
from urllib.parse import quote

import orjson

from geosvc import __version__
from geosvc.encode.json_schema import Json
from geosvc.model.catalog import Catalog
from geosvc.model.collection import Collection
from geosvc.openapi.bodies import BODIES
from geosvc.openapi.operations import OPERATIONS, Operation
from geosvc.openapi.parameters import component_of, feature_id, own_parameters, shared_parameters
from geosvc.openapi.responses import response_name, responses
from geosvc.openapi.schemas import HEADERS, SCHEMAS, ref
from geosvc.requests.items import ReadingRules

GENERAL_TAG = "Capabilities"


def _answers(operation: Operation) -> Json:
    answers = {str(status): ref("responses", name) for status, name in ((operation.status, operation.answer), *operation.also)}
    return answers | {str(status): ref("responses", response_name(status)) for status in sorted(operation.errors)}


# what all collections have alike in an operation
_ANSWERS = {operation: _answers(operation) for operation in OPERATIONS}


def _describe(operation: Operation, operation_id: str, tag: str, parameters: Iterable[Json], body: Json | None = None) -> Json:
    return {
        "tags": [tag],
        "operationId": operation_id,
        "summary": operation.summary,
        "parameters": list(parameters),
        **({"requestBody": body} if body is not None else {}),
        "responses": _ANSWERS[operation],
    }


def _is_there(operation: Operation, collection: Collection) -> bool:
    """Collections without a key have no path of a feature: their features have no id."""
    if "{featureId}" in operation.path and not collection.key:
        return False
    return operation.needs is None or bool(getattr(collection, operation.needs))


def _paths_of(collection: Collection) -> Json:
    encoded = quote(collection.id, safe="")
    own = own_parameters(collection)
    paths: Json = {}
    for operation in OPERATIONS:
        if "{collectionId}" not in operation.path or not _is_there(operation, collection):
            continue
        parameters = [feature_id(collection)] if "{featureId}" in operation.path else own.values if operation.filters else []
        shared = [own.names.get(name) or ref("parameters", component_of(name, collection)) for name in operation.parameters]
        body = BODIES[operation.body](collection, own) if operation.body is not None else None
        operation_id = f"{operation.operation_id}.{encoded}"
        described = _describe(operation, operation_id, collection.id, [*parameters, *shared], body)
        paths.setdefault(operation.path.replace("{collectionId}", encoded), {})[operation.method] = described
    return paths


def _paths(collections: Iterable[Collection]) -> Json:
    paths: Json = {
        operation.path: {
            operation.method: _describe(
                operation, operation.operation_id, GENERAL_TAG, [ref("parameters", name) for name in operation.parameters]
            )
        }
        for operation in OPERATIONS
        if "{collectionId}" not in operation.path
    }
    for collection in collections:
        paths |= _paths_of(collection)
    return paths


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


def _contents(collections: Sequence[Collection], rules: ReadingRules) -> Json:
    tags = {GENERAL_TAG: {"name": GENERAL_TAG, "description": "What is there."}}
    for each in collections:
        tags.setdefault(each.id, {"name": each.id, "description": each.description or each.title})
    return {
        "tags": list(tags.values()),
        "paths": _paths(collections),
        "components": {
            "schemas": SCHEMAS,
            "parameters": shared_parameters(rules, collections),
            "headers": HEADERS,
            "responses": responses(),
        },
    }


def describe_api(base: str, collections: Sequence[Collection], rules: ReadingRules) -> Json:
    """The whole description; `base` is the root that clients see, without a slash at its end."""
    return {**_head(base), **_contents(collections, rules)}


class ApiWriter:
    """Writes the description as JSON. All but its head is kept for the latest catalog: 1,000 collections of 20 columns
    are 25 MB, made in 150 ms.
    """

    def __init__(self) -> None:
        self._made_for: tuple[Catalog, ReadingRules] | None = None
        self._contents = b""

    def write(self, base: str, catalog: Catalog, rules: ReadingRules) -> bytes:
        """What `describe_api` describes, in the order of the catalog."""
        if self._made_for is None or self._made_for[0] is not catalog or self._made_for[1] != rules:
            self._contents = orjson.dumps(_contents(tuple(catalog.collections.values()), rules))
            self._made_for = catalog, rules
        return orjson.dumps(_head(base))[:-1] + b"," + self._contents[1:]
