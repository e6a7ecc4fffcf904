"""The schema, the queryables and the sortables of a collection.

Source: OGC 23-058r2 7 to 12, 19-079r2 6.2.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from geosvc.bodies.properties import Mode, writable_columns
from geosvc.encode.json_schema import Json, column_schema, geometry_schema
from geosvc.model.collection import Collection, Column, GeometryColumn, Reference
from geosvc.model.queryables import queryables

DIALECT = "https://json-schema.org/draft/2020-12/schema"
IDENTIFYING = ("string", "integer")
"""The types that an id and a reference may have."""
_LONGEST_TITLE = 60


@dataclass(frozen=True, slots=True)
class Schemas:
    """Describes collections, which may refer to each other.

    Attributes:
        referable: (collection id, type of the key) by the column that a foreign key refers to.
    """

    referable: Mapping[Reference, tuple[str, str]] = field(default_factory=dict)

    def schema(self, url: str, collection: Collection) -> Json:
        """The schema of features: all properties, those that are required or read-only."""
        writable = _writable(collection)
        properties = self._properties(collection)
        for name, described in properties.items():
            if name not in writable:
                described["readOnly"] = True
        required: list[str] = []
        columns: tuple[Column | GeometryColumn, ...] = (*collection.columns, collection.geometry)
        for column in columns:
            # a client may leave out a value for which the database has a default
            may_be_left_out = bool(writable) and column.may_default
            if column.not_null and not may_be_left_out:
                required.append(column.name)
        document = _document(url, collection, properties)
        if required:
            document["required"] = required
        return document

    def queryables(self, url: str, collection: Collection) -> Json:
        """The schema of the properties that a filter may name."""
        return self._describe_some(url, collection, queryables(collection))

    def sortables(self, url: str, collection: Collection) -> Json:
        """The schema of the properties that `sortby` may name."""
        names = {column.name for column in collection.columns if column.sortable}
        return self._describe_some(url, collection, names)

    def _describe_some(self, url: str, collection: Collection, names: Container[str]) -> Json:
        """The document of these properties."""
        properties = self._properties(collection)
        for name in list(properties):
            if name not in names:
                del properties[name]
        return _document(url, collection, properties)

    def _properties(self, collection: Collection) -> dict[str, Json]:
        """The schemas of all properties by name; the geometry comes last."""
        schemas = {column.name: column_schema(column) for column in collection.columns}
        roles = self._roles(collection, schemas)
        properties: dict[str, Json] = {}
        for number, column in enumerate(collection.columns, 1):
            properties[column.name] = {
                **describe_comment(column.name, column.description),
                **schemas[column.name],
                **roles.get(column.name, {}),
                "x-ogc-propertySeq": number,
            }
        geometry = collection.geometry
        properties[geometry.name] = {
            "title": geometry.name,
            **geometry_schema(geometry),
            "x-ogc-role": "primary-geometry",
            "x-ogc-propertySeq": len(collection.columns) + 1,
        }
        return properties

    def _roles(self, collection: Collection, schemas: Mapping[str, Json]) -> dict[str, Json]:
        """The role of each column that has one, as a keyword.

        A column has at most one role; that of the id has priority.
        """
        roles: dict[str, Json] = {}
        if len(collection.key) == 1:
            key = collection.key[0]
            if schemas[key]["type"] in IDENTIFYING:
                roles[key] = {"x-ogc-role": "id"}
        for name, role in _temporal_roles(collection).items():
            roles.setdefault(name, {"x-ogc-role": role})
        for column in collection.columns:
            target = column.refers_to
            if target is None or target not in self.referable:
                continue
            collection_id, key_type = self.referable[target]
            if schemas[column.name]["type"] == key_type:
                reference = {"x-ogc-role": "reference", "x-ogc-collectionId": collection_id}
                roles.setdefault(column.name, reference)
        return roles


def _document(url: str, collection: Collection, properties: Json) -> Json:
    document: Json = {"$schema": DIALECT, "$id": url, "title": collection.title}
    if collection.description:
        document["description"] = collection.description
    document["type"] = "object"
    document["properties"] = properties
    document["additionalProperties"] = False
    return document


def describe_schemas(collections: Iterable[Collection]) -> Schemas:
    """The schemas of these collections, which may refer to each other."""
    referable: dict[Reference, tuple[str, str]] = {}
    for collection in collections:
        if len(collection.key) != 1:
            continue
        key_type = column_schema(collection.key_columns[0])["type"]
        if key_type in IDENTIFYING:
            key = collection.key[0]
            reference = Reference(collection.schema, collection.name, key)
            referable.setdefault(reference, (collection.id, key_type))
    return Schemas(referable)


def describe_comment(name: str, comment: str | None) -> Json:
    """Title and description of a property; a comment of one short line is the title."""
    if not comment:
        return {"title": name}
    if len(comment) <= _LONGEST_TITLE and "\n" not in comment:
        return {"title": comment}
    return {"title": name, "description": comment}


def _writable(collection: Collection) -> frozenset[str]:
    """The names of the properties that clients can create or change."""
    columns: list[Column | GeometryColumn] = []
    geometry = collection.geometry
    if collection.insertable:
        columns += writable_columns(collection, Mode.CREATE)
        if geometry.insertable:
            columns.append(geometry)
    if collection.updatable:
        columns += writable_columns(collection, Mode.REPLACE)
        if geometry.updatable:
            columns.append(geometry)
    return frozenset(column.name for column in columns)


def _temporal_roles(collection: Collection) -> dict[str, str]:
    """The role of each temporal column, by name.

    The ends of an interval have no role if only one of them is a date: both must have the same
    granularity (/req/advanced-property-roles).
    """
    names = collection.temporal
    if not names:
        return {}
    if len(names) == 1:
        return {names[0]: "primary-instant"}
    start, end = names
    start_is_date = collection.by_name[start].type_name == "date"
    end_is_date = collection.by_name[end].type_name == "date"
    if start_is_date != end_is_date:
        return {}
    return {start: "primary-interval-start", end: "primary-interval-end"}
