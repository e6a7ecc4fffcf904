"""Posted features as rows of a statement.

The features are two arrays that PostgreSQL reads side by side: the geometries as EWKB, and one JSON
text with the properties of all features, which `json_to_recordset` turns into the types of the
columns (docs/decisions/0016). The same statement stores one feature or thousands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from geosvc.bodies.raw_feature import Posted
from geosvc.model.collection import Collection, Column
from geosvc.model.crs import UNKNOWN, Crs
from geosvc.query.sql_parts import comma_list, type_name
from geosvc.sql.compose import SQL, Composable, Identifier, Param, Statement

_UNNEST = SQL("unnest({})")


@dataclass(frozen=True, slots=True)
class PostedColumns:
    """Which columns get values of posted features.

    Attributes:
        columns: the columns that get properties.
        keyed: whether the columns of the key get the ids.
        crs: the CRS of the geometries, and of the features that a statement returns.
    """

    columns: tuple[Column, ...]
    keyed: bool
    crs: Crs


@dataclass(frozen=True, slots=True)
class WritePlan:
    """A statement that is composed once and run with different features.

    Attributes:
        geometries, properties, keys: the positions of the values of the features among the
            arguments of the statement.
    """

    statement: Statement
    geometries: int
    properties: int
    keys: tuple[int, ...]

    def of(self, posted: Posted) -> Statement:
        """Return the statement for these features."""
        args = list(self.statement.args)
        args[self.geometries] = posted.geometries
        args[self.properties] = f"[{b','.join(posted.properties).decode()}]"
        for number, position in enumerate(self.keys):
            args[position] = [None if key is None else key[number] for key in posted.keys]
        return replace(self.statement, args=tuple(args))


class PostedRows:
    """The rows `s` of posted features, and the value that each column gets from them."""

    def __init__(self, collection: Collection, posted: PostedColumns) -> None:
        self._collection = collection
        self._posted = posted
        self._geometries = Param([], "bytea[]")
        self._properties = Param("[]", "text")
        self._keys: list[Param] = []
        if posted.keyed:
            for _ in collection.key:
                self._keys.append(Param([], "text[]"))

    def from_item(self) -> Composable:
        """Write the rows as an item of FROM: `g` (geometry), `k0`… (key), `c0`… (values)."""
        functions: list[Composable] = [_UNNEST.format(self._geometries)]
        names = [Identifier("g")]
        for number, key in enumerate(self._keys):
            functions.append(_UNNEST.format(key))
            names.append(self._key_name(number))
        fields: list[Composable] = []
        for number, column in enumerate(self._posted.columns):
            field = SQL("{} {}").format(Identifier(column.name), _json_type(column))
            fields.append(field)
            names.append(self._column_name(number))
        if not fields:
            # json_to_recordset needs a column
            fields.append(SQL("nothing text"))
            names.append(Identifier("nothing"))
        properties = SQL("json_to_recordset({properties}::json) AS ({fields})").format(
            properties=self._properties,
            fields=comma_list(fields),
        )
        functions.append(properties)
        return SQL("ROWS FROM ({}) AS s ({})").format(comma_list(functions), comma_list(names))

    def _key_name(self, number: int) -> Identifier:
        return Identifier(f"k{number}")

    def _column_name(self, number: int) -> Identifier:
        return Identifier(f"c{number}")

    @property
    def geometry_name(self) -> str:
        """The name of the geometry column."""
        return self._collection.geometry.name

    def geometry(self) -> Composable:
        """Write the geometry as the column stores it."""
        column = self._collection.geometry
        value: Composable = SQL("s.g::geometry")
        if column.srid not in (UNKNOWN, self._posted.crs.srid):
            srid = Param(column.srid, "int4")
            value = SQL("ST_Transform({}, {})").format(value, srid)
        if column.geography:
            return SQL("{}::geography").format(value)
        return value

    def values(self) -> Mapping[str, Composable]:
        """Return the value of each column: first of the key, if ids are posted, then the others.

        The order is that of the columns. An id wins over a property of the same column.
        """
        values: dict[str, Composable] = {}
        if self._keys:
            for number, column in enumerate(self._collection.key_columns):
                text = SQL("s.{}").format(self._key_name(number))
                values[column.name] = SQL("{}::{}").format(text, type_name(column))
        for number, column in enumerate(self._posted.columns):
            if column.name not in values:
                value = SQL("s.{}").format(self._column_name(number))
                values[column.name] = _column_value(column, value)
        return values

    def plan(self, statement: Statement) -> WritePlan:
        """Find the values of the features among the arguments of a statement with these rows."""
        positions = {id(value): position for position, value in enumerate(statement.args)}
        keys = [positions[id(key.value)] for key in self._keys]
        return WritePlan(
            statement,
            geometries=positions[id(self._geometries.value)],
            properties=positions[id(self._properties.value)],
            keys=tuple(keys),
        )


def _is_bytea(column: Column) -> bool:
    return column.type_schema == "pg_catalog" and column.type_name == "bytea"


def _json_type(column: Column) -> Identifier:
    """Return the type as which PostgreSQL reads a value from JSON."""
    if column.is_hstore:
        return Identifier("pg_catalog", "jsonb")
    if _is_bytea(column):
        return Identifier("pg_catalog", "text")
    return type_name(column)


def _column_value(column: Column, value: Composable) -> Composable:
    """Convert a value of `_json_type` to the type of the column."""
    if column.is_hstore:
        return to_hstore(column, value)
    if _is_bytea(column):
        return SQL("decode({}, 'base64')").format(value)
    return value


def to_hstore(column: Column, value: Composable) -> Composable:
    """Convert jsonb to hstore: an object, or a string in the notation of hstore."""
    return SQL(
        "(SELECT CASE jsonb_typeof(v.j) WHEN 'object' THEN"
        " (SELECT {hstore}(coalesce(array_agg(e.key), '{{}}'),"
        " coalesce(array_agg(e.value), '{{}}'))"
        " FROM jsonb_each_text(v.j) e)"
        " ELSE (v.j #>> '{{}}')::{hstore} END FROM (SELECT {value} AS j OFFSET 0) v)"
    ).format(hstore=type_name(column), value=value)
