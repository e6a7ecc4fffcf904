"""The statements that change features.

Features come as two arrays that PostgreSQL walks in step: geometries as EWKB, and one JSON text with the properties of all,
which `json_to_recordset` turns into the types of the columns (docs/decisions/0016). The same statement stores one feature or
thousands. Preconditions are part of the statement that changes the row, so nobody can come in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import orjson

from geosvc.model.collection import Collection, Column
from geosvc.model.crs import UNKNOWN, Crs
from geosvc.model.media_type import GEOJSON
from geosvc.query.versions import has_key, modified_of, version_of
from geosvc.query.writing import feature_id, write_feature
from geosvc.requests.items import ItemsRequest
from geosvc.requests.posted import Posted
from geosvc.requests.preconditions import Preconditions, Tags
from geosvc.sql.compose import REQUEST_TAG, SQL, Composable, Identifier, Param, Statement, compose


class Returning(Enum):
    """What a statement tells of the features that it changed."""

    VALIDATORS = "id, version, when modified, NULL"
    FEATURES = "id, version, when modified, the feature in UTF-8"
    IDS = "id, whether it is new"
    COUNTS = "one row: how many features, how many new"


class OnConflict(Enum):
    """What happens when the id is taken."""

    FAIL = "fail"
    UPDATE = "update"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the values of posted features come from.

    Attributes:
        columns: those that are taken from the properties.
        keyed: whether the key is taken from the ids.
        crs: of the geometries, and of the features that are returned.
    """

    columns: tuple[Column, ...]
    keyed: bool
    crs: Crs


@dataclass(frozen=True, slots=True)
class Planned:
    """A statement that is run with different features.

    Attributes:
        geometries, properties, keys: the places of the features' values among its arguments.
    """

    statement: Statement
    geometries: int
    properties: int
    keys: tuple[int, ...]

    def of(self, posted: Posted) -> Statement:
        """The statement for these features."""
        args = list(self.statement.args)
        args[self.geometries] = posted.geometries
        args[self.properties] = f"[{b','.join(posted.properties).decode()}]"
        for number, place in enumerate(self.keys):
            args[place] = [key[number] if key is not None else None for key in posted.keys]
        return replace(self.statement, args=tuple(args))


class _Rows:
    """The rows of posted features as an item of FROM, called `s`, and the value of each column in them."""

    def __init__(self, collection: Collection, source: Source) -> None:
        self._collection = collection
        self._source = source
        self._geometries = Param([], "bytea[]")
        self._properties = Param("[]", "text")
        self._keys = [Param([], "text[]") for _ in collection.key] if source.keyed else []

    def item(self) -> Composable:
        columns = self._source.columns
        fields = [SQL("{} {}").format(Identifier(column.name), _json_type(column)) for column in columns]
        functions = [SQL("unnest({})").format(param) for param in (self._geometries, *self._keys)]
        functions.append(
            SQL("json_to_recordset({}::json) AS ({})").format(self._properties, SQL(", ").join(fields or [SQL("nothing text")]))
        )
        names: list[Composable] = [Identifier("g"), *(self._key(number) for number in range(len(self._keys)))]
        names += [self._value(place) for place in range(len(columns))] or [Identifier("nothing")]
        return SQL("ROWS FROM ({}) AS s ({})").format(SQL(", ").join(functions), SQL(", ").join(names))

    def _key(self, number: int) -> Identifier:
        return Identifier(f"k{number}")

    def _value(self, place: int) -> Identifier:
        return Identifier(f"c{place}")

    @property
    def geometry_name(self) -> str:
        """The name of the geometry column."""
        return self._collection.geometry.name

    def geometry(self) -> Composable:
        """The geometry as the column stores it."""
        column = self._collection.geometry
        value: Composable = SQL("s.g::geometry")
        if column.srid not in (UNKNOWN, self._source.crs.srid):
            value = SQL("ST_Transform({}, {})").format(value, Param(column.srid, "int4"))
        return SQL("{}::geography").format(value) if column.geography else value

    def values(self) -> Mapping[str, Composable]:
        """Column names to values, in the order of the columns; the key first where it comes from the ids."""
        found: dict[str, Composable] = {}
        for number, column in enumerate(self._collection.key_columns if self._keys else ()):
            kind = Identifier(column.type_schema, column.type_name)
            found[column.name] = SQL("s.{}::{}").format(self._key(number), kind)
        for place, column in enumerate(self._source.columns):
            value = SQL("s.{}").format(self._value(place))
            found.setdefault(column.name, SQL("decode({}, 'base64')").format(value) if _is_bytes(column) else value)
        return found

    def planned(self, statement: Statement) -> Planned:
        places = {id(value): place for place, value in enumerate(statement.args)}
        return Planned(
            statement,
            places[id(self._geometries.value)],
            places[id(self._properties.value)],
            tuple(places[id(key.value)] for key in self._keys),
        )


def _is_bytes(column: Column) -> bool:
    return column.type_schema == "pg_catalog" and column.type_name == "bytea"


def _json_type(column: Column) -> Identifier:
    return Identifier("pg_catalog", "text") if _is_bytes(column) else Identifier(column.type_schema, column.type_name)


def _relation(collection: Collection) -> Identifier:
    return Identifier(collection.schema, collection.name)


def _told(collection: Collection, request: ItemsRequest, returning: Returning, made: Composable) -> Composable:
    """The columns of RETURNING."""
    own_id = feature_id(collection) if collection.key else SQL("NULL::text")
    if returning is Returning.COUNTS:
        return made
    if returning is Returning.IDS:
        return SQL("{} AS id, {} AS made").format(own_id, made)
    text = SQL("NULL::bytea")
    feature = write_feature(collection, request, GEOJSON).feature if returning is Returning.FEATURES else text
    return SQL("{} AS id, {} AS version, {} AS modified, {} AS feature").format(
        own_id, version_of(collection), modified_of(collection), feature
    )


def plan_insert(
    collection: Collection,
    source: Source,
    request: ItemsRequest,
    returning: Returning,
    on_conflict: OnConflict = OnConflict.FAIL,
) -> Planned:
    """Makes features. Its rows are what `returning` says, in the order of the features: nothing here changes that of `s`."""
    rows = _Rows(collection, source)
    values = dict(rows.values())
    if collection.geometry.insertable:
        values[collection.geometry.name] = rows.geometry()
    overruling = source.keyed and any(column.always_identity for column in collection.key_columns)
    made = SQL("(t.xmax = 0)") if on_conflict is OnConflict.UPDATE else SQL("true")
    insert = SQL("INSERT INTO {} AS t ({}) {}SELECT {} FROM {} WHERE {}{} RETURNING {}").format(
        _relation(collection),
        SQL(", ").join(map(Identifier, values)),
        SQL("OVERRIDING SYSTEM VALUE ") if overruling else SQL(""),
        SQL(", ").join(values.values()),
        rows.item(),
        REQUEST_TAG,
        _conflict(collection, values, on_conflict),
        _told(collection, request, returning, made),
    )
    if returning is Returning.COUNTS:
        insert = SQL("WITH stored (made) AS ({}) SELECT count(*), count(*) FILTER (WHERE made) FROM stored").format(insert)
    return rows.planned(compose("write.insert", insert))


def _conflict(collection: Collection, values: Mapping[str, Composable], on_conflict: OnConflict) -> Composable:
    if on_conflict is OnConflict.FAIL:
        return SQL("")
    key = SQL(", ").join(map(Identifier, collection.key))
    assigned = [SQL("{n} = EXCLUDED.{n}").format(n=Identifier(name)) for name in values if name not in collection.key]
    # what the feature is silent about, as a PUT does
    silent = (column.name for column in collection.columns if column.updatable and column.may_default)
    assigned += [
        SQL("{} = DEFAULT").format(Identifier(name)) for name in silent if name not in values and name not in collection.key
    ]
    if on_conflict is OnConflict.NOTHING or not assigned:
        return SQL(" ON CONFLICT ({}) DO NOTHING").format(key)
    assignments = SQL(", ").join(assigned)
    return SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(key, assignments)


def _key_params(collection: Collection, key: Sequence[str]) -> tuple[Param, ...]:
    return tuple(
        Param(text, "text", Identifier(column.type_schema, column.type_name))
        for column, text in zip(collection.key_columns, key, strict=True)
    )


def _one_of(version: Composable, tags: Tags) -> Composable:
    return SQL("{} = ANY ({})").format(version, Param(list(tags or ()), "text[]"))


def _conditions(collection: Collection, preconditions: Preconditions) -> list[Composable]:
    """What must hold of the row that is changed."""
    tests: list[Composable] = []
    if preconditions.match not in (None, "*"):
        tests.append(_one_of(version_of(collection), preconditions.match))
    if preconditions.none_match == "*":
        tests.append(SQL("false"))
    elif preconditions.none_match is not None:
        tests.append(SQL("NOT {}").format(_one_of(version_of(collection), preconditions.none_match)))
    if preconditions.unmodified_since is not None and collection.modified is not None:
        tests.append(SQL("{} <= {}").format(modified_of(collection), Param(preconditions.unmodified_since, "float8")))
    return tests


def _change(collection: Collection, name: str, change: Composable, key: tuple[Param, ...]) -> Statement:
    """One row: whether the feature was there, then what the change returned, or NULLs when it did not happen."""
    part = SQL(
        "WITH changed AS ({}) SELECT was.there, changed.* FROM"
        " (SELECT EXISTS (SELECT FROM {} t WHERE {}) AS there) was LEFT JOIN changed ON true"
    ).format(change, _relation(collection), has_key(collection, key))
    return compose(name, part)


def update_feature(
    collection: Collection,
    key: Sequence[str],
    values: "Assignments",
    preconditions: Preconditions,
    request: ItemsRequest | None,
) -> Statement:
    """Changes a feature. One row: whether it was there, id, version, when modified, feature; NULLs when it was not changed.

    Args:
        request: how the feature is written that is returned; None for none.
    """
    params = _key_params(collection, key)
    rows = _Rows(collection, values.source)
    assignments = [SQL("{} = {}").format(Identifier(name), value) for name, value in values.of(rows)]
    if not assignments:  # nothing to change is a change all the same: triggers and preconditions hold
        name = next((column.name for column in collection.columns if column.updatable), collection.geometry.name)
        assignments = [SQL("{n} = t.{n}").format(n=Identifier(name))]
    returning = Returning.VALIDATORS if request is None else Returning.FEATURES
    change = SQL("UPDATE {} AS t SET {} FROM {} WHERE {} RETURNING {}").format(
        _relation(collection),
        SQL(", ").join(assignments),
        rows.item(),
        SQL(" AND ").join([REQUEST_TAG, has_key(collection, params), *_conditions(collection, preconditions)]),
        _told(collection, request or ItemsRequest(limit=1), returning, SQL("true")),
    )
    return rows.planned(_change(collection, values.name, change, params)).of(values.posted)


def delete_feature(collection: Collection, key: Sequence[str], preconditions: Preconditions) -> Statement:
    """Deletes a feature. One row: whether it was there, and true when it was deleted."""
    params = _key_params(collection, key)
    tests = [REQUEST_TAG, has_key(collection, params), *_conditions(collection, preconditions)]
    change = SQL("DELETE FROM {} AS t WHERE {} RETURNING true AS deleted").format(
        _relation(collection), SQL(" AND ").join(tests)
    )
    return _change(collection, "write.delete", change, params)


@dataclass(frozen=True, slots=True)
class Assignments:
    """What a change sets.

    Attributes:
        posted: one feature.
        geometry: whether the geometry is set.
        defaults: names of the columns that are set to their default.
        merged: column name to the merge patch of its JSON value: objects as dictionaries, all else as JSON text.
    """

    name: str
    posted: Posted
    source: Source
    geometry: bool
    defaults: tuple[str, ...] = ()
    merged: Mapping[str, Any] | None = None

    def of(self, rows: _Rows) -> list[tuple[str, Composable]]:
        """Column names and values."""
        given, merged = rows.values(), self.merged or {}
        values = [
            (column.name, _merged_column(column, merged[column.name]) if column.name in merged else given[column.name])
            for column in self.source.columns
        ]
        values += [(name, SQL("DEFAULT")) for name in self.defaults]
        return [*values, (rows.geometry_name, rows.geometry())] if self.geometry else values


def _merged_column(column: Column, patch: Mapping[str, Any]) -> Composable:
    """A JSON column with a merge patch applied (RFC 7396 2)."""
    merged = _merged(SQL("t.{}::jsonb").format(Identifier(column.name)), patch)
    return SQL("{}::json").format(merged) if column.type_name == "json" else merged


def _merged(value: Composable, patch: Mapping[str, Any]) -> Composable:
    expression: Composable = SQL("CASE WHEN jsonb_typeof(v.j) = 'object' THEN v.j ELSE '{{}}'::jsonb END").format()
    removed = [name for name, each in patch.items() if each == b"null"]
    plain = [orjson.dumps(name) + b":" + each for name, each in patch.items() if isinstance(each, bytes) and each != b"null"]
    if removed:
        expression = SQL("({} - {})").format(expression, Param(removed, "text[]"))
    if plain:
        expression = SQL("({} || {}::jsonb)").format(expression, Param(f"{{{b','.join(plain).decode()}}}", "text"))
    for name, each in patch.items():
        if isinstance(each, dict):
            inner = _merged(SQL("(v.j -> {})").format(Param(name, "text")), each)
            expression = SQL("({} || jsonb_build_object({}, {}))").format(expression, Param(name, "text"), inner)
    return SQL("(SELECT {} FROM (SELECT {} AS j OFFSET 0) v)").format(expression, value)
