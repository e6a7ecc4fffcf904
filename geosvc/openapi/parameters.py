"""The parameters: components that all collections share, and those of a collection's own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from geosvc.encode.json_schema import TEXT, Json
from geosvc.model.collection import Collection
from geosvc.model.crs import CRS84_URI, WGS84, listed_crs
from geosvc.model.media_type import ALIASES, DOCUMENT_TYPES, EXPORT_TYPES, ITEM_TYPES, ITEMS_TYPES, JSON, SCHEMA_TYPES
from geosvc.openapi.schemas import describe_type
from geosvc.requests.declared import DECLARED, FORMAT, LAST_EVENT_ID, Declared
from geosvc.requests.items import ReadingRules
from geosvc.requests.property_parameters import property_parameters

_DECLARED = {each.name: each for each in (*DECLARED, LAST_EVENT_ID)}
_FORMATS = {
    "f": ITEMS_TYPES,
    "f-export": EXPORT_TYPES,
    "f-item": ITEM_TYPES,
    "f-document": DOCUMENT_TYPES,
    "f-schema": SCHEMA_TYPES,
    "f-api": (JSON,),
}
_OF_CRS = frozenset({"crs", "bbox-crs", "filter-crs", "Content-Crs"})
_FLAGS = {
    "dry-run": "Everything is checked and nothing stored.",
    "repair": "What can be mended in a geometry is mended.",
    "upsert": "A feature whose id is taken replaces the one that has it. For tables with a key.",
}
_TAG = r'(W/)?"[!#-~]*"'
_TAGS: Json = {"type": "string", "pattern": rf"^(\*|({_TAG}( *, *{_TAG})*)?)$", "example": '"0"'}
_HEADERS: Mapping[str, tuple[str, Json]] = {
    "If-Match": ("Only if the feature has one of these ETags, or, with *, if there is one.", _TAGS),
    "If-None-Match": ("Only if it has none of these ETags, or, with *, if there is none.", _TAGS),
    "If-Unmodified-Since": ("Only if the feature was not changed since; If-Match beats it.", TEXT),
    "If-Modified-Since": ("Only if the feature was changed since; If-None-Match beats it.", TEXT),
    "Last-Event-ID": ("The id of the last event that was received: go on after it.", {**LAST_EVENT_ID.schema}),
    "Prefer": ("return=representation or minimal, handling=strict or lenient.", TEXT),
    "Content-Crs": ("The reference system of the posted coordinates; CRS84 by default.", TEXT),
    "Idempotency-Key": (
        "The same request with the same key is carried out once.",
        {"type": "string", "pattern": r"^[!#-\[\]-~]{1,255}$"},
    ),
}
_EXTENT = Declared(
    "extent",
    "exact reads every row for the extent, within the time box; estimated costs no scan.",
    {"type": "string", "enum": ["estimated", "exact"], "default": "estimated"},
)


def query_parameter(name: str, description: str, schema: Mapping[str, Any], required: bool = False) -> Json:
    """QGIS takes a property for one to filter by only when style and explode are written out."""
    described: Json = {"name": name, "in": "query", "description": description, "style": "form", "explode": False}
    if required:
        described["required"] = True
    return {**described, "schema": schema}


def _header_parameter(name: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "description": _HEADERS[name][0], "schema": schema}


def _schema_of(name: str, rules: ReadingRules) -> Json:
    """The schema of a parameter of items that is the same for all collections."""
    schema = dict(_DECLARED[name].schema)
    if name == "limit" and rules.limits is not None:
        schema |= {"minimum": 1, "maximum": rules.limits.maximum, "default": rules.limits.default}
    return schema


def shared_parameters(rules: ReadingRules, collections: Iterable[Collection]) -> Json:
    """The components; those of reference systems once for every list that collections have."""
    found = {each.name: query_parameter(each.name, each.description, _schema_of(each.name, rules)) for each in DECLARED}
    found[LAST_EVENT_ID.name] = query_parameter(LAST_EVENT_ID.name, LAST_EVENT_ID.description, LAST_EVENT_ID.schema)
    found[_EXTENT.name] = query_parameter(_EXTENT.name, _EXTENT.description, _EXTENT.schema)
    for name, offered in _FORMATS.items():
        short = dict.fromkeys(each for known in offered for each in (known.short, *ALIASES.get(known, ())) if "/" not in each)
        found[name] = query_parameter(FORMAT.name, FORMAT.description, {**FORMAT.schema, "enum": list(short)})
    found |= {name: query_parameter(name, text, {"type": "boolean", "default": False}) for name, text in _FLAGS.items()}
    found |= {name: _header_parameter(name, schema) for name, (_, schema) in _HEADERS.items()}
    for collection in {crs_key(each): each for each in collections}.values():
        uris = [crs.uri for crs in listed_crs(collection, rules.crs)]
        for name in _OF_CRS & found.keys():
            if name in _HEADERS:
                schema = {"type": "string", "enum": [*(f"<{uri}>" for uri in uris), *uris]}
                found[component_of(name, collection)] = _header_parameter(name, schema)
            else:
                default = uris[0] if name == "crs" else CRS84_URI
                schema = {"type": "string", "format": "uri", "enum": uris, "default": default}
                found[component_of(name, collection)] = query_parameter(name, _DECLARED[name].description, schema)
    return found


def crs_key(collection: Collection) -> str:
    """What tells the lists of reference systems of two collections apart; empty for the ordinary one."""
    geometry = collection.geometry
    return f"{'' if geometry.srid == WGS84 else f'-{geometry.srid}'}{'-z' if geometry.has_z else ''}"


def component_of(name: str, collection: Collection) -> str:
    """The component of a parameter for a collection."""
    return name + crs_key(collection) if name in _OF_CRS else name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if name[:1] in ("+", "-", " ", '"') or "," in name else name


@dataclass(frozen=True, slots=True)
class OwnParameters:
    """Those of one collection's items.

    Attributes:
        values: of the function, then the queryables.
        names: by name those that name properties; they stand in for the components of their name.
    """

    values: list[Json]
    names: dict[str, Json]

    def schemas(self) -> dict[str, Json]:
        """Their schemas by name."""
        return {each["name"]: each["schema"] for each in (*self.values, *self.names.values())}


def own_parameters(collection: Collection) -> OwnParameters:
    """The parameters that differ from those of other collections."""
    values = [
        query_parameter(
            parameter.name, f"Argument of the function ({parameter.type}).", describe_type(parameter), parameter.required
        )
        for parameter in collection.parameters or ()
        if parameter.name not in _DECLARED
    ]
    for column in property_parameters(collection):
        meaning = column.description or "Only features with this value."
        values.append(query_parameter(column.name, f"{meaning} ({column.type})", describe_type(column)))
    sortable = [_quoted(column.name) for column in collection.columns if column.scalar]
    sortby = [f"{sign}{name}" for name in sortable for sign in ("", "-")]
    choices = {"sortby": sortby, "properties": [_quoted(column.name) for column in collection.columns]}
    return OwnParameters(values, {name: _of_names(name, choices[name]) for name in choices})


def _of_names(name: str, choices: list[str]) -> Json:
    items = {**TEXT, "enum": choices} if choices else TEXT  # of none the array stays empty
    described = query_parameter(name, _DECLARED[name].description, {"type": "array", "items": items})
    del described["style"]  # form is the default; with it, QGIS would filter by a property that is called `properties`
    return described


def feature_id(collection: Collection) -> Json:
    """The parameter in the path of a feature."""
    key = collection.key_columns
    if len(key) == 1:
        description, schema = f"The value of {key[0].name}.", describe_type(key[0])
    else:
        names = ", ".join(column.name for column in key)
        description = f"The values of {names} with commas between them; a backslash takes the next character as it is."
        schema = TEXT
    return {"name": "featureId", "in": "path", "required": True, "description": description, "schema": schema}
