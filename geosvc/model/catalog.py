"""The catalog: from what `sql/catalog.sql` found to the collections that are served."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from geosvc.errors import NotFound
from geosvc.model.bounds import ANYTHING, Bounds, bounds_of_modifier
from geosvc.model.checks import DOMAIN_VALUE, parse_check
from geosvc.model.collection import Collection, CollectionId, Column, GeometryColumn, Kind, Parameter, Publication, Reference
from geosvc.model.crs import UNKNOWN, WGS84, Srid

FUNCTION_SCHEMA = "geosvc_functions"
PAGE_BYTES = 8192
_GEOMETRY_TYPES = (
    "GEOMETRY",
    *("POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"),
    *("CIRCULARSTRING", "COMPOUNDCURVE", "CURVEPOLYGON", "MULTICURVE", "MULTISURFACE"),
    *("POLYHEDRALSURFACE", "TRIANGLE", "TIN"),
)
_INTERVALS = (("start", "end"), ("begin", "end"), ("valid_from", "valid_to"), ("valid_from", "valid_until"))
_INSTANTS = ("datetime", "timestamp", "time", "date", "observed_at", "phenomenon_time")


@dataclass(frozen=True, slots=True)
class Override:
    """What the settings say of one collection."""

    key: tuple[str, ...] = ()
    datetime: tuple[str, ...] = ()
    srid: int | None = None
    title: str | None = None
    read_only: tuple[str, ...] = ()
    modified: str | None = None
    require_precondition: bool = False
    put_creates: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Which collections are published, and what is said of them.

    Attributes:
        schemas: searched, in this order; ids in the first are bare names.
        tables, exclude: shell patterns of ids.
        writable: the same of those that can be written to.
    """

    schemas: tuple[str, ...] = ("public",)
    tables: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    overrides: Mapping[str, Override] = field(default_factory=dict)

    def admits(self, collection_id: str) -> bool:
        """Whether a collection of this id is published."""
        wanted = not self.tables or any(fnmatchcase(collection_id, pattern) for pattern in self.tables)
        return wanted and not any(fnmatchcase(collection_id, pattern) for pattern in self.exclude)

    def allows_writing(self, collection_id: str) -> bool:
        """Whether a collection of this id can be written to, if the database role may."""
        return any(fnmatchcase(collection_id, pattern) for pattern in self.writable)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The collections by id, in the order of their ids.

    Attributes:
        fingerprint: changes with the database's own catalog.
        extension: changes when PostGIS is installed anew, moved or updated.
        incomplete: whether constraints are missing, of tables that somebody had locked.
    """

    collections: Mapping[str, Collection]
    fingerprint: str
    extension: str = ""
    incomplete: bool = False

    def __getitem__(self, collection_id: str) -> Collection:
        """Raises: NotFound."""
        try:
            return self.collections[collection_id]
        except KeyError:
            raise NotFound(f"there is no collection {collection_id!r}") from None


def decode_typmod(name: str, spatial: str, typmod: int, **writing: bool) -> GeometryColumn:
    """A geometry column from PostGIS's type modifier. Source: liblwgeom.h, TYPMOD_GET_SRID and its neighbours.

    Args:
        writing: what is known of writing to it, by attribute.
    """
    geography = spatial == "geography"
    if typmod < 0:
        return GeometryColumn(name, "GEOMETRY", WGS84 if geography else UNKNOWN, False, False, geography, **writing)
    srid = ((typmod & 0x0FFFFF00) - (typmod & 0x10000000)) >> 8
    kind = (typmod & 0xFC) >> 2
    return GeometryColumn(
        name=name,
        type=_GEOMETRY_TYPES[kind] if kind < len(_GEOMETRY_TYPES) else "GEOMETRY",
        srid=Srid(max(srid, 0)) or (WGS84 if geography else UNKNOWN),
        has_z=bool(typmod & 2),
        has_m=bool(typmod & 1),
        geography=geography,
        **writing,
    )


def choose_temporal(columns: Mapping[str, Column]) -> tuple[str, ...]:
    """The column of the instant, or the two of the interval, that `datetime` filters by: a well-known pair of names,
    else a well-known name, else the first date or timestamp.
    """
    temporal = [name for name, column in columns.items() if column.temporal]
    by_folded = {name.casefold(): name for name in temporal}
    for pair in _INTERVALS:
        for first, last in (pair, (f"{pair[0]}_date", f"{pair[1]}_date"), (f"{pair[0]}_time", f"{pair[1]}_time")):
            if first in by_folded and last in by_folded:
                return by_folded[first], by_folded[last]
    for name in _INSTANTS:
        if name in by_folded:
            return (by_folded[name],)
    return tuple(temporal[:1])


def _bounds(column: Mapping[str, Any], of_table: Bounds) -> Bounds:
    """Of an array they are those of its elements."""
    if column["type_schema"] != "pg_catalog":
        return ANYTHING
    bounds = bounds_of_modifier(column["type_name"].removeprefix("_"), column["typmod"])
    if column["category"] == "A":
        return bounds
    for check in column["domain_checks"] or ():
        bounds &= parse_check(check).get(DOMAIN_VALUE, ANYTHING)
    return bounds & of_table


def _columns(found: Mapping[str, Any]) -> Iterator[Column]:
    of_table: dict[str, Bounds] = {}
    for check in found["checks"] or ():
        for name, bounds in parse_check(check).items():
            of_table[name] = of_table.get(name, ANYTHING) & bounds
    references = {each["column"]: Reference(each["schema"], each["table"], each["to"]) for each in found["references"] or ()}
    for each in found["columns"]:
        if each["spatial"] is None:
            yield Column(
                name=each["name"],
                type=each["type"],
                type_schema=each["type_schema"],
                type_name=each["type_name"],
                category=each["category"],
                enum=tuple(each["enum"]) if each["enum"] else None,
                deterministic=each["deterministic"],
                not_null=each["not_null"],
                description=each["description"],
                may_default=each["may_default"],
                always_identity=each["always_identity"],
                insertable=each["insertable"],
                updatable=each["updatable"],
                bounds=_bounds(each, of_table.get(each["name"], ANYTHING)),
                refers_to=references.get(each["name"]),
            )


def _parameters(found: Mapping[str, Any]) -> tuple[Parameter, ...] | None:
    if found["parameters"] is None:
        return None
    return tuple(Parameter(**{**each, "enum": tuple(each["enum"]) if each["enum"] else None}) for each in found["parameters"])


def _collections(found: Mapping[str, Any], selection: Selection) -> Iterator[Collection]:
    columns = {column.name: column for column in _columns(found)}
    geometries = [
        decode_typmod(
            each["name"],
            each["spatial"],
            each["typmod"],
            **{attribute: each[attribute] for attribute in ("not_null", "may_default", "insertable", "updatable")},
        )
        for each in found["columns"]
        if each["spatial"] is not None
    ]
    bare = found["schema"] in (selection.schemas[0], FUNCTION_SCHEMA)
    name = found["name"] if bare else f"{found['schema']}.{found['name']}"
    pages, rows = found["pages"], found["rows"]
    for index, geometry in enumerate(geometries):
        collection_id = name if index == 0 else f"{name}.{geometry.name}"
        if not selection.admits(collection_id):
            continue
        override = selection.overrides.get(collection_id, Override())
        key = override.key or tuple(found["key"] or ())
        key = key if all(each in columns for each in key) else ()
        temporal = override.datetime or choose_temporal(columns)
        own = _protected(columns, override)
        writable = selection.allows_writing(collection_id)
        yield Collection(
            id=CollectionId(collection_id),
            title=override.title or collection_id,
            description=found["description"],
            schema=found["schema"],
            name=found["name"],
            kind=Kind(found["kind"]),
            geometry=_with_srid(geometry, override.srid),
            columns=tuple(own.values()),
            key=key,
            temporal=temporal if all(each in columns and columns[each].temporal for each in temporal) else (),
            rows=rows,
            row_bytes=max(pages * PAGE_BYTES // rows, 64) if rows and pages else 256,
            parameters=_parameters(found),
            by_name=own,
            insertable=writable and found["insertable"],
            updatable=writable and found["updatable"],
            deletable=writable and found["deletable"],
            modified=override.modified if override.modified in own and own[override.modified].temporal else None,
            require_precondition=override.require_precondition,
            put_creates=override.put_creates,
            publication=_publication(found.get("publication"), key),
            row_security=found.get("row_security", False),
        )


def _publication(found: Mapping[str, Any] | None, key: tuple[str, ...]) -> Publication | None:
    """None where the comments of its functions are not what `geosvc publish` wrote, or where ids are made otherwise now."""
    if found is None:
        return None
    try:
        columns, more = json.loads(found["columns"]), json.loads(found["more"])
        publication = Publication(found["id"], tuple(columns), tuple(more["key"]), more["geometry"])
    except (KeyError, TypeError, ValueError):
        return None
    return publication if publication.key in ((), key) else None


def _protected(columns: dict[str, Column], override: Override) -> dict[str, Column]:
    """The columns, of which the settings make some read-only; what tells of changes is the database's to maintain."""
    protected = {*override.read_only, override.modified}
    return {
        name: replace(column, insertable=False, updatable=False) if name in protected else column
        for name, column in columns.items()
    }


def _with_srid(geometry: GeometryColumn, srid: int | None) -> GeometryColumn:
    if srid is None or geometry.srid != UNKNOWN:
        return geometry
    return replace(geometry, srid=Srid(srid))


def build_catalog(found: Iterable[Mapping[str, Any]], selection: Selection, fingerprint: str, extension: str = "") -> Catalog:
    """The collections in what `sql/catalog.sql` found. Of two with one id the first is kept."""
    order = {schema: place for place, schema in enumerate(selection.schemas)}
    collections: dict[str, Collection] = {}
    incomplete = False
    for each in sorted(found, key=lambda row: (order.get(row["schema"], len(order)), row["name"])):
        for collection in _collections(each, selection):
            collections.setdefault(collection.id, collection)
            incomplete |= each["checks_hidden"]
    return Catalog(dict(sorted(collections.items())), fingerprint, extension, incomplete)
