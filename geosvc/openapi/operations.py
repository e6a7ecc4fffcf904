"""The operations of the API, as they are described: what each takes, answers and fails with."""

from dataclasses import dataclass

from geosvc.requests.items import DECLARED, FORMAT, ITEM_DECLARED

_ALWAYS = (400, 405, 406, 500)
_DATABASE = (*_ALWAYS, 503, 504)
_ALL = (*_DATABASE, 404)
_CHANGE = (*_ALL, 403, 408, 413, 415, 422, 501)
_PAGING = frozenset({"limit", "offset", "cursor", "count"})
_ITEMS_PARAMETERS = tuple(each.name for each in DECLARED)
_ITEM_PARAMETERS = tuple("f-item" if each is FORMAT else each.name for each in ITEM_DECLARED)
_GET_ITEM_PARAMETERS = (*_ITEM_PARAMETERS, "If-None-Match", "If-Modified-Since")
_EXPORT_PARAMETERS = tuple(name for name in _ITEMS_PARAMETERS if name not in _PAGING)
_DOCUMENT_PARAMETERS = ("f-document",)
_CONDITIONAL = (*_DOCUMENT_PARAMETERS, "If-None-Match")
_CACHED = ((304, "DocumentNotModified"),)
_CONDITIONS = ("If-Match", "If-None-Match", "If-Unmodified-Since")
_WRITE_HEADERS = ("Prefer",)
_COLLECTION = "/collections/{collectionId}"
_ITEMS = f"{_COLLECTION}/items"
_ITEM = f"{_ITEMS}/{{featureId}}"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of `routes.ROUTES`, as it is described.

    Attributes:
        path: with `{collectionId}` where every collection has a path of its own.
        parameters: names of components.
        answer: the component of the response 200.
        errors: the statuses that it can fail with.
        filters: whether it takes the queryables and, of a function, the parameters.
        method: in lower case.
        status: of the answer.
        also: other statuses and their components.
        body: the component of its request body.
        needs: the attribute of a collection that must be true for it to be there.
    """

    path: str
    operation_id: str
    summary: str
    parameters: tuple[str, ...]
    answer: str
    errors: tuple[int, ...]
    filters: bool = False
    method: str = "get"
    status: int = 200
    also: tuple[tuple[int, str], ...] = ()
    body: str | None = None
    needs: str | None = None


OPERATIONS = (
    Operation("/", "getLandingPage", "Where everything else is", _CONDITIONAL, "LandingPage", _ALWAYS, also=_CACHED),
    Operation("/api", "getApi", "This description", _CONDITIONAL, "Api", (*_ALWAYS, 503), also=_CACHED),
    Operation("/conformance", "getConformanceDeclaration", "What holds", _CONDITIONAL, "Conformance", _ALWAYS, also=_CACHED),
    Operation("/functions", "getFunctions", "What filters may call", _CONDITIONAL, "Functions", _ALWAYS, also=_CACHED),
    Operation("/collections", "getCollections", "All collections", _CONDITIONAL, "Collections", _DATABASE, also=_CACHED),
    Operation(_COLLECTION, "describeCollection", "What it is", ("extent", *_CONDITIONAL), "Collection", _ALL, also=_CACHED),
    Operation(f"{_COLLECTION}/schema", "getSchema", "What features have", _CONDITIONAL, "Schema", _ALL, also=_CACHED),
    Operation(
        f"{_COLLECTION}/schema/feature", "getFeatureSchema", "What a feature is", _CONDITIONAL, "Schema", _ALL, also=_CACHED
    ),
    Operation(
        f"{_COLLECTION}/queryables", "getQueryables", "What filters may name", _CONDITIONAL, "Schema", _ALL, also=_CACHED
    ),
    Operation(f"{_COLLECTION}/sortables", "getSortables", "What sortby may name", _CONDITIONAL, "Schema", _ALL, also=_CACHED),
    Operation(_ITEMS, "getFeatures", "A page of features", _ITEMS_PARAMETERS, "Features", _ALL, True),
    Operation(_ITEM, "getFeature", "One feature", _GET_ITEM_PARAMETERS, "Feature", _ALL, also=((304, "NotModified"),)),
    Operation(f"{_COLLECTION}/export", "exportFeatures", "All features that match", _EXPORT_PARAMETERS, "Export", _ALL, True),
    Operation(
        f"{_COLLECTION}/search",
        "searchFeatures",
        "Features by a posted geometry",
        ("f",),
        "Features",
        (*_ALL, 408, 413, 415, 422),
        method="post",
        body="Search",
    ),
    Operation(_ITEMS, "getItemsOptions", "What can be done here", (), "ItemsOptions", _ALL, method="options"),
    Operation(
        _ITEMS,
        "createFeatures",
        "Makes a feature, or loads many",
        ("dry-run", "repair", "upsert", *_WRITE_HEADERS, "Content-Crs", "Idempotency-Key"),
        "Created",
        (*_CHANGE, 409),
        method="post",
        status=201,
        also=((200, "Loaded"),),
        body="Features",
        needs="insertable",
    ),
    Operation(_ITEM, "getItemOptions", "What can be done here", (), "ItemOptions", _ALL, method="options"),
    Operation(
        _ITEM,
        "replaceFeature",
        "Replaces a feature",
        ("dry-run", "repair", *_CONDITIONS, *_WRITE_HEADERS, "Content-Crs", "Idempotency-Key"),
        "Changed",
        (*_CHANGE, 409, 412, 428),
        method="put",
        also=((201, "Created"), (204, "Stored")),
        body="Feature",
        needs="updatable",
    ),
    Operation(
        _ITEM,
        "updateFeature",
        "Changes parts of a feature",
        ("dry-run", "repair", *_CONDITIONS, *_WRITE_HEADERS, "Content-Crs", "Idempotency-Key"),
        "Changed",
        (*_CHANGE, 409, 412, 428),
        method="patch",
        also=((204, "Stored"),),
        body="MergePatch",
        needs="updatable",
    ),
    Operation(
        _ITEM,
        "deleteFeature",
        "Deletes a feature",
        ("dry-run", *_CONDITIONS, *_WRITE_HEADERS, "Idempotency-Key"),
        "Stored",
        (*_ALL, 403, 409, 412, 422, 428, 501),
        method="delete",
        status=204,
        needs="deletable",
    ),
)
