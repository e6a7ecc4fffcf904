"""The schema, the queryables and the sortables of a collection. Source: OGC 23-058r2 7 to 12, 19-079r2 6.2."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from geosvc.encode.json_schema import Json, column_schema, geometry_schema
from geosvc.model.collection import Collection, Column, GeometryColumn, Reference
from geosvc.model.queryables import queryables
from geosvc.requests.properties import Mode, writable_columns

DIALECT = "https://json-schema.org/draft/2020-12/schema"
IDENTIFYING = ("string", "integer")
"""The types that an id and a reference may have."""
_LONGEST_TITLE = 60


@dataclass(frozen=True, slots=True)
class Schemas:
    """Which collections there are to refer to.

    Attributes:
        referable: id and type of the key by where a foreign key points at.
    """

    referable: Mapping[Reference, tuple[str, str]] = field(default_factory=dict)

    def schema(self, url: str, collection: Collection) -> Json:
        """What features have and, where they can be written, what is taken of them: every property, and which must be there."""
        writable = _writable(collection)
        document = self._describe(url, collection, lambda _: True, lambda name: {} if name in writable else {"readOnly": True})
        # what the database gives a value to need not be posted
        columns: tuple[Column | GeometryColumn, ...] = (*collection.columns, collection.geometry)
        required = [each.name for each in columns if each.not_null and not (writable and each.may_default)]
        return {**document, "required": required} if required else document

    def queryables(self, url: str, collection: Collection) -> Json:
        """What a filter may name."""
        return self._describe(url, collection, queryables(collection).__contains__)

    def sortables(self, url: str, collection: Collection) -> Json:
        """What `sortby` may name."""
        return self._describe(url, collection, {column.name for column in collection.columns if column.scalar}.__contains__)

    def _describe(
        self, url: str, collection: Collection, belongs: Callable[[str], bool], more: Callable[[str], Json] = lambda _: {}
    ) -> Json:
        """The geometry comes last."""
        schemas = {column.name: column_schema(column) for column in collection.columns}
        roles = self._roles(collection, schemas)
        properties = {
            column.name: {
                **describe_comment(column.name, column.description),
                **schemas[column.name],
                **more(column.name),
                **roles.get(column.name, {}),
                "x-ogc-propertySeq": place,
            }
            for place, column in enumerate(collection.columns, 1)
            if belongs(column.name)
        }
        geometry = collection.geometry
        if belongs(geometry.name):
            properties[geometry.name] = {
                "title": geometry.name,
                **geometry_schema(geometry),
                **more(geometry.name),
                "x-ogc-role": "primary-geometry",
                "x-ogc-propertySeq": len(collection.columns) + 1,
            }
        return {
            "$schema": DIALECT,
            "$id": url,
            "title": collection.title,
            **({"description": collection.description} if collection.description else {}),
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }

    def _roles(self, collection: Collection, schemas: Mapping[str, Json]) -> dict[str, Json]:
        """The keywords of each column that has a role; it has one at the most, and to be the id is the first."""
        roles: dict[str, Json] = {}
        if len(collection.key) == 1 and schemas[collection.key[0]]["type"] in IDENTIFYING:
            roles[collection.key[0]] = {"x-ogc-role": "id"}
        for name, role in _temporal_roles(collection).items():
            roles.setdefault(name, {"x-ogc-role": role})
        for column in collection.columns:
            target = self.referable.get(column.refers_to) if column.refers_to is not None else None
            if target is not None and schemas[column.name]["type"] == target[1]:
                roles.setdefault(column.name, {"x-ogc-role": "reference", "x-ogc-collectionId": target[0]})
        return roles


def describe_schemas(collections: Iterable[Collection]) -> Schemas:
    """What describes each of these collections, which may refer to each other."""
    referable: dict[Reference, tuple[str, str]] = {}
    for each in collections:
        if len(each.key) == 1 and (kind := column_schema(each.key_columns[0])["type"]) in IDENTIFYING:
            referable.setdefault(Reference(each.schema, each.name, each.key[0]), (each.id, kind))
    return Schemas(referable)


def describe_comment(name: str, comment: str | None) -> Json:
    """Title and description: a comment of one short line is the title."""
    if not comment:
        return {"title": name}
    if len(comment) <= _LONGEST_TITLE and "\n" not in comment:
        return {"title": comment}
    return {"title": name, "description": comment}


def _writable(collection: Collection) -> frozenset[str]:
    """The properties that features can be made or changed with."""
    columns: set[Column] = set()
    if collection.insertable:
        columns.update(writable_columns(collection, Mode.CREATE))
    if collection.updatable:
        columns.update(writable_columns(collection, Mode.REPLACE))
    geometry = collection.geometry
    writes_geometry = (collection.insertable and geometry.insertable) or (collection.updatable and geometry.updatable)
    return frozenset({column.name for column in columns} | ({geometry.name} if writes_geometry else set()))


def _temporal_roles(collection: Collection) -> dict[str, str]:
    """Both ends of an interval have the same granularity, or have no role (/req/advanced-property-roles)."""
    names = collection.temporal
    if len(names) == 1:
        return {names[0]: "primary-instant"}
    if len({collection.by_name[name].type_name == "date" for name in names}) != 1:
        return {}
    return dict(zip(names, ("primary-interval-start", "primary-interval-end"), strict=True))
