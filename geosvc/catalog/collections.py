"""Builds the catalog: the collections that are served, from the rows of `sql/catalog.sql`."""

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from geosvc.catalog.check_constraints import DOMAIN_VALUE, parse_check, required_column
from geosvc.catalog.function_names import (
    FUNCTION_SCHEMA,
    choose_free_name,
    name_relations_and_functions,
)
from geosvc.catalog.typmod import decode_typmod, modifier_of
from geosvc.errors import NotFound
from geosvc.model.collection import (
    Collection,
    CollectionId,
    Column,
    GeometryColumn,
    Parameter,
    Parts,
    Publication,
    Reference,
    RelationKind,
)
from geosvc.model.composite import composite_of
from geosvc.model.crs import UNKNOWN, Srid
from geosvc.model.similar_names import did_you_mean
from geosvc.model.value_bounds import UNBOUNDED, ValueBounds, bounds_of_type_modifier

PAGE_BYTES = 8192
_LEAST_ROW_BYTES = 64
_ROW_BYTES_BY_DEFAULT = 256
_INTERVALS = (
    ("start", "end"),
    ("begin", "end"),
    ("valid_from", "valid_to"),
    ("valid_from", "valid_until"),
)
_INTERVAL_SUFFIXES = ("", "_date", "_time")
_INSTANTS = ("datetime", "timestamp", "time", "date", "observed_at", "phenomenon_time")


@dataclass(frozen=True, slots=True)
class Override:
    """The settings of one collection.

    Attributes:
        key: the columns of the feature id, where the database declares none.
        datetime: the column of the instant, or the two of the interval.
        srid: of a geometry column that declares none.
        read_only: properties that requests cannot write.
        modified: the column that says when a feature was last changed.
    """

    key: tuple[str, ...] = ()
    datetime: tuple[str, ...] = ()
    srid: int | None = None
    title: str | None = None
    read_only: tuple[str, ...] = ()
    modified: str | None = None
    require_precondition: bool = False
    put_creates: bool = False


@dataclass(frozen=True, slots=True)
class ServedCollections:
    """Which collections are served, and their settings.

    Attributes:
        schemas: searched in this order; the ids of collections in the first are bare names.
        tables, exclude: shell patterns of ids; without `tables` all are served.
        writable: shell patterns of the ids of collections that can be written to.
        overrides: settings by collection id.
    """

    schemas: tuple[str, ...] = ("public",)
    tables: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    overrides: Mapping[str, Override] = field(default_factory=dict)

    def admits(self, collection_id: str) -> bool:
        """Whether a collection of this id is served."""
        if self.tables and not _matches_any(collection_id, self.tables):
            return False
        return not _matches_any(collection_id, self.exclude)

    def allows_writing(self, collection_id: str) -> bool:
        """Whether the settings allow to write to this collection; privileges may still not."""
        return _matches_any(collection_id, self.writable)


def _matches_any(collection_id: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(collection_id, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The collections by id, in the order of their ids.

    Attributes:
        fingerprint: changes when the catalog of the database changes.
        extension: changes when PostGIS is installed again, moved or updated.
        incomplete: whether constraints are missing because other sessions had locked the tables.
    """

    collections: Mapping[str, Collection]
    fingerprint: str
    extension: str = ""
    incomplete: bool = False

    def __getitem__(self, collection_id: str) -> Collection:
        """The collection of this id. Raises: NotFound."""
        try:
            return self.collections[collection_id]
        except KeyError:
            near = did_you_mean(collection_id, self.collections)
            raise NotFound(f"collection {collection_id!r} does not exist{near}") from None


def choose_temporal(columns: Mapping[str, Column]) -> tuple[str, ...]:
    """The columns that the parameter `datetime` filters by: an instant, an interval or none.

    A pair of columns with well-known names comes first, then a column with a well-known name, then
    the first date or timestamp.
    """
    temporal = [name for name, column in columns.items() if column.is_temporal]
    by_folded = {name.casefold(): name for name in temporal}
    for start, end in _INTERVALS:
        for suffix in _INTERVAL_SUFFIXES:
            first = by_folded.get(start + suffix)
            last = by_folded.get(end + suffix)
            if first is not None and last is not None:
                return first, last
    for name in _INSTANTS:
        if name in by_folded:
            return (by_folded[name],)
    return tuple(temporal[:1])


def _bounds(column: Mapping[str, Any], of_table: ValueBounds) -> ValueBounds:
    """The bounds of a property; those of an array apply to its elements."""
    if column["type_schema"] != "pg_catalog":
        return UNBOUNDED
    bounds = bounds_of_type_modifier(column["type_name"].removeprefix("_"), column["typmod"])
    if column["category"] == "A":
        return bounds
    for check in column["domain_checks"] or ():
        bounds &= parse_check(check).get(DOMAIN_VALUE, UNBOUNDED)
    bounds &= of_table
    if bounds == UNBOUNDED:
        return UNBOUNDED  # the very object: values of such a column are not checked
    return bounds


def _checks(found: Mapping[str, Any]) -> Iterator[str]:
    """The CHECK constraints of a table.

    PostgreSQL has no text of one whose table was dropped a moment ago.
    """
    return filter(None, found["checks"] or ())


def _bounds_of_table(found: Mapping[str, Any]) -> dict[str, ValueBounds]:
    """The bounds that the table's CHECK constraints set, by column."""
    by_column: dict[str, ValueBounds] = {}
    for check in _checks(found):
        for name, bounds in parse_check(check).items():
            by_column[name] = by_column.get(name, UNBOUNDED) & bounds
    return by_column


def _columns(found: Mapping[str, Any]) -> Iterator[Column]:
    bounds_of_table = _bounds_of_table(found)
    references = {}
    for reference in found["references"] or ():
        references[reference["column"]] = Reference(
            reference["schema"], reference["table"], reference["to"]
        )
    for column in found["columns"]:
        if column["spatial"] is None:
            name = column["name"]
            bounds = _bounds(column, bounds_of_table.get(name, UNBOUNDED))
            yield _column(column, bounds, references.get(name))


def _column(column: Mapping[str, Any], bounds: ValueBounds, refers_to: Reference | None) -> Column:
    composite = None
    if column.get("composites"):
        composite = composite_of(column["type_oid"], column["composites"])
    return Column(
        name=column["name"],
        type=column["type"],
        type_schema=column["type_schema"],
        type_name=column["type_name"],
        category=column["category"],
        enum=_enum(column),
        deterministic=column["deterministic"],
        comparable=column["comparable"],
        ordered=column["ordered"],
        not_null=column["not_null"],
        description=column["description"],
        may_default=column["may_default"],
        always_identity=column["always_identity"],
        insertable=column["insertable"],
        updatable=column["updatable"],
        bounds=bounds,
        refers_to=refers_to,
        composite=composite,
    )


def _enum(column_or_parameter: Mapping[str, Any]) -> tuple[str, ...] | None:
    labels = column_or_parameter["enum"]
    return tuple(labels) if labels else None


def _parameters(found: Mapping[str, Any]) -> tuple[Parameter, ...] | None:
    if found["parameters"] is None:
        return None
    parameters = []
    for parameter in found["parameters"]:
        attributes = {**parameter, "enum": _enum(parameter)}
        parameters.append(Parameter(**attributes))
    return tuple(parameters)


def _collection_name(found: Mapping[str, Any], served: ServedCollections) -> str:
    if found["schema"] in (served.schemas[0], FUNCTION_SCHEMA):
        return str(found["called"])
    return f"{found['schema']}.{found['called']}"


def _free_id(
    collection_id: str,
    found: Mapping[str, Any],
    column: str,
    taken: Container[str],
) -> str:
    """The id, or a longer one where another collection has it.

    The table `gis.roads` (with a dot in its name) of the first schema has the same id as the table
    `roads` of the schema `gis`.
    """
    schema = found["schema"]
    name = found["called"]
    possible_ids = [
        collection_id,
        f"{schema}.{name}",
        f"{schema}.{name}.{column}",
        f'"{schema}"."{name}"."{column}"',
    ]
    return choose_free_name(possible_ids, taken)


def _required_columns(found: Mapping[str, Any]) -> set[str | None]:
    """The columns that CHECK constraints require to have a value."""
    return {required_column(check) for check in _checks(found)}


def _geometries(found: Mapping[str, Any]) -> list[GeometryColumn]:
    geometries = []
    required = _required_columns(found)
    for column in found["columns"]:
        spatial, typmod = column["spatial"], column["typmod"]
        if spatial is None:
            continue
        geometry = decode_typmod(
            column["name"],
            spatial,
            typmod,
            not_null=column["not_null"] or column["name"] in required,
            may_default=column["may_default"],
            insertable=column["insertable"],
            updatable=column["updatable"],
            modifier=modifier_of(spatial, typmod, column["type"]),
        )
        geometries.append(geometry)
    return geometries


def _collections(
    found: Mapping[str, Any],
    served: ServedCollections,
    taken: Container[str],
) -> Iterator[Collection]:
    """Yields the collections of a relation or a function: one for each geometry column.

    Args:
        found: a row of `sql/catalog.sql`.
        taken: the ids that other collections have.
    """
    columns = {column.name: column for column in _columns(found)}
    name = _collection_name(found, served)
    for index, geometry in enumerate(_geometries(found)):
        collection_id = name
        if index > 0:
            collection_id = f"{name}.{geometry.name}"
        if served.admits(collection_id):
            collection_id = _free_id(collection_id, found, geometry.name, taken)
            yield _collection(collection_id, found, columns, geometry, served)


def _collection(
    collection_id: str,
    found: Mapping[str, Any],
    columns: Mapping[str, Column],
    geometry: GeometryColumn,
    served: ServedCollections,
) -> Collection:
    override = served.overrides.get(collection_id, Override())
    writable = served.allows_writing(collection_id)
    properties = _protected(columns, override)
    key, key_is_unique = _key(found, columns, override)
    return Collection(
        id=CollectionId(collection_id),
        title=override.title or collection_id,
        description=found["description"],
        schema=found["schema"],
        name=found["name"],
        kind=RelationKind(found["kind"]),
        geometry=_with_srid(geometry, override.srid),
        columns=tuple(properties.values()),
        key=key,
        key_is_unique=key_is_unique,
        parts=Parts(found["parts"] or ""),
        temporal=_temporal(columns, override),
        rows=found["rows"],
        row_bytes=_row_bytes(found),
        parameters=_parameters(found),
        ambiguous_with=found.get("rival", ""),
        by_name=properties,
        insertable=writable and found["insertable"],
        updatable=writable and found["updatable"],
        deletable=writable and found["deletable"],
        modified=_modified(properties, override),
        require_precondition=override.require_precondition,
        put_creates=override.put_creates,
        publication=_publication(found.get("publication"), key),
        row_security=found.get("row_security", False),
    )


def _temporal(columns: Mapping[str, Column], override: Override) -> tuple[str, ...]:
    """The columns of the settings, if all are dates or timestamps; without settings the best."""
    names = override.datetime or choose_temporal(columns)
    for name in names:
        if name not in columns or not columns[name].is_temporal:
            return ()
    return names


def _modified(columns: Mapping[str, Column], override: Override) -> str | None:
    name = override.modified
    if name is not None and name in columns and columns[name].is_temporal:
        return name
    return None


def _row_bytes(found: Mapping[str, Any]) -> int:
    pages, rows = found["pages"], found["rows"]
    if not rows or not pages:
        return _ROW_BYTES_BY_DEFAULT
    return int(max(pages * PAGE_BYTES // rows, _LEAST_ROW_BYTES))


def _key(
    found: Mapping[str, Any], columns: Mapping[str, Column], override: Override
) -> tuple[tuple[str, ...], bool]:
    """The columns of the key, and whether the database keeps it unique."""
    usable = {name for name, column in columns.items() if column.is_usable_as_key}
    unique_keys = []
    for names in found["keys"] or ():
        if usable.issuperset(names):
            unique_keys.append(tuple(names))
    if not override.key:
        if unique_keys:
            return unique_keys[0], True
        return (), False
    if not usable.issuperset(override.key):
        return (), False
    is_unique = any(set(names) == set(override.key) for names in unique_keys)
    return override.key, is_unique


def _publication(found: Mapping[str, Any] | None, key: tuple[str, ...]) -> Publication | None:
    """How changes are logged; None without a valid publication.

    A publication is invalid when the comments of its functions are not what `geosvc publish` wrote,
    or when the feature ids are made of other columns now.
    """
    if found is None:
        return None
    try:
        columns = json.loads(found["columns"])
        more = json.loads(found["more"])
        publication = Publication(found["id"], tuple(columns), tuple(more["key"]), more["geometry"])
    except (KeyError, TypeError, ValueError):
        return None
    if publication.key not in ((), key):
        return None
    return publication


def _protected(columns: Mapping[str, Column], override: Override) -> dict[str, Column]:
    """The columns, some of them made read-only by the settings.

    The column `modified` is read-only too: the database maintains it.
    """
    read_only = {*override.read_only, override.modified}
    protected = {}
    for name, column in columns.items():
        if name in read_only:
            protected[name] = replace(column, insertable=False, updatable=False)
        else:
            protected[name] = column
    return protected


def _with_srid(geometry: GeometryColumn, srid: int | None) -> GeometryColumn:
    if srid is None or geometry.srid != UNKNOWN:
        return geometry
    return replace(geometry, srid=Srid(srid))


def build_catalog(
    found: Iterable[Mapping[str, Any]],
    served: ServedCollections,
    fingerprint: str,
    extension: str = "",
) -> Catalog:
    """The catalog of the published collections.

    The first of two collections with the same id keeps it; the other gets a longer id.

    Args:
        found: the rows of `sql/catalog.sql`.
        served: which collections are served, and their settings.
        fingerprint, extension: as in Catalog.
    """
    schema_order = {schema: index for index, schema in enumerate(served.schemas)}

    def sort_key(row: Mapping[str, Any]) -> tuple[int, str]:
        return schema_order.get(row["schema"], len(schema_order)), row["name"]

    rows = name_relations_and_functions(list(found))
    collections: dict[str, Collection] = {}
    incomplete = False
    for row in sorted(rows, key=sort_key):
        for collection in _collections(row, served, collections):
            collections[collection.id] = collection
            incomplete |= row["checks_hidden"]
    return Catalog(dict(sorted(collections.items())), fingerprint, extension, incomplete)


def without_keys(catalog: Catalog, collections: Iterable[str]) -> Catalog:
    """The catalog, in which these collections have no key and so no feature ids."""
    keyless = {}
    for name in collections:
        collection = catalog.collections[name]
        publication = collection.publication
        if publication is not None and publication.key:
            publication = None
        keyless[name] = replace(collection, key=(), publication=publication)
    return replace(catalog, collections={**catalog.collections, **keyless})
