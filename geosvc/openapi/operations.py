"""The operations of the API, as they are described: what each takes, answers and fails with."""

from dataclasses import dataclass

from geosvc.requests.declared import CHANGES_DECLARED, DECLARED, FORMAT, ITEM_DECLARED, PAGING

_ALWAYS = (400, 405, 406, 500)
_DATABASE = (*_ALWAYS, 503, 504)
_ALL = (*_DATABASE, 404)
_POSTED = (408, 413, 415, 422)
_WRITING = (*_ALL, 403, 409, 422, 501)
_ITEMS_PARAMETERS = tuple(each.name for each in DECLARED)
_ITEM_PARAMETERS = tuple("f-item" if each is FORMAT else each.name for each in ITEM_DECLARED)
_CONDITIONS = ("If-Match", "If-None-Match", "If-Unmodified-Since")
_FORMATS = {"Schema": "f-schema", "Api": "f-api"}
_COLLECTION = "/collections/{collectionId}"
_ITEMS = f"{_COLLECTION}/items"
_ITEM = f"{_ITEMS}/{{featureId}}"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of `routes.ROUTES`, as it is described.

    Attributes:
        path: with `{collectionId}` where every collection has a path of its own.
        answer: the component of the response of `status`.
        errors: the statuses that it can fail with.
        parameters: names of components.
        filters: whether it takes the queryables and, of a function, the parameters.
        method: in lower case.
        also: other statuses and their components.
        body: what makes its request body (`bodies.BODIES`).
        needs: the attribute of a collection that must be true for it to be there.
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


def _document(path: str, operation_id: str, summary: str, answer: str, *errors: int) -> Operation:
    """A document of an ETag."""
    more = ("extent",) if answer == "Collection" else ()
    parameters = (*more, _FORMATS.get(answer, "f-document"), "If-None-Match")
    return Operation(path, operation_id, summary, answer, errors, parameters, also=((304, "DocumentNotModified"),))


def _change(method: str, operation_id: str, summary: str, body: str | None, *also: tuple[int, str]) -> Operation:
    """A change of one feature; without a body its removal."""
    return Operation(
        _ITEM,
        operation_id,
        summary,
        "Stored" if body is None else "Changed",
        (*_WRITING, 412, 428, *(() if body is None else _POSTED)),
        ("dry-run", *_CONDITIONS, "Prefer", "Idempotency-Key", *(() if body is None else ("repair", "Content-Crs"))),
        method=method,
        status=204 if body is None else 200,
        also=also,
        body=body,
        needs="deletable" if body is None else "updatable",
    )


OPERATIONS = (
    _document("/", "getLandingPage", "Where everything else is", "LandingPage", *_ALWAYS),
    _document("/api", "getApi", "This description", "Api", *_ALWAYS, 503),
    _document("/conformance", "getConformanceDeclaration", "What holds", "Conformance", *_ALWAYS),
    _document("/functions", "getFunctions", "What filters may call", "Functions", *_ALWAYS),
    _document("/collections", "getCollections", "All collections", "Collections", *_DATABASE),
    _document(_COLLECTION, "describeCollection", "What it is", "Collection", *_ALL),
    _document(f"{_COLLECTION}/schema", "getSchema", "What features have", "Schema", *_ALL),
    _document(f"{_COLLECTION}/schema/feature", "getFeatureSchema", "What a feature is", "Schema", *_ALL),
    _document(f"{_COLLECTION}/queryables", "getQueryables", "What filters may name", "Schema", *_ALL),
    _document(f"{_COLLECTION}/sortables", "getSortables", "What sortby may name", "Schema", *_ALL),
    Operation(_ITEMS, "getFeatures", "A page of features", "Features", _ALL, _ITEMS_PARAMETERS, filters=True),
    Operation(
        _ITEM,
        "getFeature",
        "One feature",
        "Feature",
        _ALL,
        (*_ITEM_PARAMETERS, "If-None-Match", "If-Modified-Since"),
        also=((304, "NotModified"),),
    ),
    Operation(
        f"{_COLLECTION}/export",
        "exportFeatures",
        "All features that match",
        "Export",
        _ALL,
        tuple("f-export" if name == FORMAT.name else name for name in _ITEMS_PARAMETERS if name not in PAGING),
        filters=True,
    ),
    Operation(
        f"{_COLLECTION}/changes",
        "getChanges",
        "Changes as they are made",
        "Changes",
        (*_ALL, 403, 409),
        (*(each.name for each in CHANGES_DECLARED), "Last-Event-ID"),
        filters=True,
        needs="publication",
    ),
    Operation(
        f"{_COLLECTION}/search",
        "searchFeatures",
        "Features by a posted geometry",
        "Found",
        (*_ALL, *_POSTED),
        ("f-export",),
        method="post",
        body="search",
    ),
    Operation(_ITEMS, "getItemsOptions", "What can be done here", "ItemsOptions", _ALL, method="options"),
    Operation(
        _ITEMS,
        "createFeatures",
        "Makes a feature, or loads many",
        "Created",
        (*_WRITING, *_POSTED),
        ("dry-run", "repair", "upsert", "Prefer", "Content-Crs", "Idempotency-Key"),
        method="post",
        status=201,
        also=((200, "Loaded"),),
        body="create",
        needs="insertable",
    ),
    Operation(_ITEM, "getItemOptions", "What can be done here", "ItemOptions", _ALL, method="options"),
    _change("put", "replaceFeature", "Replaces a feature", "replace", (201, "Created"), (204, "Stored")),
    _change("patch", "updateFeature", "Changes parts of a feature", "patch", (204, "Stored")),
    _change("delete", "deleteFeature", "Deletes a feature", None),
)
