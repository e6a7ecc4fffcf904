"""The statements that read features.

A feature is built by PostgreSQL as one text (docs/decisions/0002): Python joins and sends. Beside it come the sort values,
for the cursor of the next page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from geosvc.model.collection import Collection, Column
from geosvc.model.media_type import CSV, MediaType
from geosvc.query.filters import cast_text, conditions, where
from geosvc.query.geometry import written_geometry
from geosvc.query.paging import after, order_by, order_of
from geosvc.requests.items import GeometryStyle, ItemsRequest
from geosvc.sql.compose import SQL, Composable, Composed, Identifier, Param, Statement, compose

_JAVASCRIPT_UNSAFE = frozenset({"int8", "numeric"})


@dataclass(frozen=True, slots=True)
class Page:
    """A statement and how to read its rows.

    Attributes:
        statement: rows of (a feature as text, then the sort values as text).
        header: the names of a line's cells, for CSV.
    """

    statement: Statement
    header: tuple[str, ...] = ()


def _source(collection: Collection, request: ItemsRequest) -> Composable:
    relation = Identifier(collection.schema, collection.name)
    if collection.parameters is None:
        return relation
    types = {parameter.name: parameter for parameter in collection.parameters}
    arguments = (
        SQL("{} => {}").format(Identifier(name), cast_text(types[name], text)) for name, text in request.arguments
    )
    return SQL("{}({})").format(relation, SQL(", ").join(arguments))


def _property_value(column: Column, bigint_as_text: bool) -> Composable:
    value = SQL("t.{}").format(Identifier(column.name))
    if column.type_name == "bytea" and column.category == "U":
        # encode() breaks base64 into lines
        return SQL("translate(encode({}, 'base64'), E'\\n', '')").format(value)
    if bigint_as_text and column.type_name in _JAVASCRIPT_UNSAFE:
        return SQL("{}::text").format(value)
    return value


def _wanted(collection: Collection, request: ItemsRequest) -> tuple[Column, ...]:
    if request.properties is None:
        return collection.columns
    return tuple(collection.by_name[name] for name in request.properties)


def _properties(collection: Collection, request: ItemsRequest) -> Composable:
    columns = _wanted(collection, request)
    if not columns:
        return SQL("'{{}}'").format()
    values = SQL(", ").join(
        SQL("{} AS {}").format(_property_value(column, request.bigint_as_text), Identifier(column.name))
        for column in columns
    )
    # in row_to_json(x) a column called x would win over the row x
    row = Identifier(next(name for name in map("p{}".format, count()) if name not in collection.by_name))
    return SQL("(SELECT row_to_json({row})::text FROM (SELECT {values}) {row})").format(row=row, values=values)


def _geometry(collection: Collection, style: GeometryStyle) -> Composable:
    if style.skip:
        return SQL("'null'")
    return SQL("coalesce(ST_AsGeoJSON({}, {}, 0), 'null')").format(
        written_geometry(collection.geometry, style), Param(style.precision, "int4")
    )


def feature_id(collection: Collection) -> Composed:
    """The id of a feature as text; the values of a composite key with commas between them, and a backslash before each
    comma and backslash of their own (`parse_feature_id` reads it).
    """
    parts = [SQL("t.{}::text").format(Identifier(column.name)) for column in collection.key_columns]
    if len(parts) == 1:
        return parts[0]
    return SQL(" || ',' || ").join(SQL("regexp_replace({}, '([\\\\,])', '\\\\\\1', 'g')").format(part) for part in parts)


def _id_member(collection: Collection, bigint_as_text: bool) -> Composable:
    """`"id":…,` as SQL text: whole numbers as numbers, everything else as strings; nothing without a key."""
    if not collection.key:
        return SQL("''")
    whole = len(collection.key) == 1 and collection.key_columns[0].type_name in ("int2", "int4", "int8")
    if whole and not bigint_as_text:
        return SQL("coalesce('\"id\":' || {} || ',', '')").format(feature_id(collection))
    return SQL("coalesce('\"id\":' || to_json({})::text || ',', '')").format(feature_id(collection))


def _feature(collection: Collection, request: ItemsRequest) -> Composable:
    return SQL(
        "'{{\"type\":\"Feature\",' || {id} || '\"geometry\":' || {geometry} || ',\"properties\":' || {properties} || '}}'"
    ).format(
        id=_id_member(collection, request.bigint_as_text),
        geometry=_geometry(collection, request.geometry),
        properties=_properties(collection, request),
    )


def _csv_cell(column: Column) -> Composable:
    """A cell: timestamps as JSON writes them, bytes as base64, everything else as PostgreSQL's text."""
    value = SQL("t.{}").format(Identifier(column.name))
    if column.temporal:
        return SQL("to_json({}) #>> '{{}}'").format(value)
    return SQL("({})::text").format(_property_value(column, bigint_as_text=False))


def _csv_line(cells: Sequence[tuple[Composable, bool]]) -> Composable:
    """Cells with commas between them; those that may hold a comma, a quote or a line break are quoted, NULL is not."""
    written = [
        SQL("coalesce('\"' || replace({}, '\"', '\"\"') || '\"', '')" if quoted else "coalesce({}, '')").format(cell)
        for cell, quoted in cells
    ]
    return SQL(" || ',' || ").join(written) if written else SQL("''")


def _csv(collection: Collection, request: ItemsRequest) -> tuple[tuple[str, ...], Composable]:
    """The header and the line of a feature. WKT is the name by which GDAL knows a geometry."""
    columns = _wanted(collection, request)
    header = tuple(column.name for column in columns)
    cells = [(_csv_cell(column), column.category not in "NB") for column in columns]
    if request.geometry.skip:
        return header, _csv_line(cells)
    written = written_geometry(collection.geometry, request.geometry)
    wkt = SQL("ST_AsText({}, {})").format(written, Param(request.geometry.precision, "int4"))
    return ("WKT", *header), _csv_line([(wkt, True), *cells])


def select_items(collection: Collection, request: ItemsRequest, media_type: MediaType) -> Page:
    """The features of a page, and one more to know whether there is a next page; all of them for an export."""
    keys = order_of(collection, request)
    tests = list(conditions(collection, request))
    offset = request.offset
    if request.cursor is not None:
        offset = request.cursor.offset
        if request.cursor.after:
            tests.append(after(keys, request.cursor.after))
    header: tuple[str, ...] = ()
    feature = _feature(collection, request)
    if media_type is CSV:
        header, feature = _csv(collection, request)
    paged = request.limit is not None
    columns = [feature, *(SQL("{}::text").format(key.expression) for key in keys if paged)]
    part = SQL("SELECT {} FROM {} t{}{}").format(
        SQL(", ").join(columns), _source(collection, request), where(tests), order_by(keys)
    )
    if request.limit is not None:
        part = SQL("{} LIMIT {}").format(part, Param(request.limit + 1, "int8"))
    if offset:
        part = SQL("{} OFFSET {}").format(part, Param(offset, "int8"))
    return Page(compose("items.page" if paged else "items.export", part), header)


def select_item(collection: Collection, request: ItemsRequest, values: Sequence[str]) -> Statement:
    """The feature with these key values as one text; no row when there is none."""
    tests = SQL(" AND ").join(
        SQL("t.{} = {}").format(Identifier(column.name), cast_text(column, text))
        for column, text in zip(collection.key_columns, values, strict=True)
    )
    part = SQL("SELECT {} FROM {} t WHERE {} LIMIT 1").format(
        _feature(collection, request), _source(collection, request), tests
    )
    return compose("items.item", part)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A statement that finds features by id, planned once and run with many lists of ids.

    Attributes:
        statement: (id as text, feature as text) a row.
        place: of the list of ids among its arguments.
    """

    statement: Statement
    place: int

    def of(self, ids: Sequence[str]) -> Statement:
        """The statement for these ids."""
        args = self.statement.args
        return replace(self.statement, args=(*args[: self.place], list(ids), *args[self.place + 1 :]))


def plan_lookup(collection: Collection, request: ItemsRequest) -> Lookup:
    """How features are found by id; for keys of one column."""
    column = collection.key_columns[0]
    ids = Param([], "text[]")
    part = SQL("SELECT t.{name}::text, {feature} FROM {source} t WHERE t.{name} = ANY ({ids}::{type}[])").format(
        name=Identifier(column.name),
        feature=_feature(collection, request),
        source=_source(collection, request),
        ids=ids,
        type=Identifier(column.type_schema, column.type_name),
    )
    statement = compose("items.by_id", part)
    return Lookup(statement, next(place for place, value in enumerate(statement.args) if value is ids.value))


def select_matching(collection: Collection, request: ItemsRequest, at_most: int | None = None) -> Statement:
    """One number: how many features match, whatever the page; counting stops after `at_most`."""
    tests = where(list(conditions(collection, request)))
    rows = SQL("SELECT 1 FROM {} t{}").format(_source(collection, request), tests)
    if at_most is not None:
        rows = SQL("{} LIMIT {}").format(rows, Param(at_most, "int8"))
    return compose("items.count", SQL("SELECT count(*) FROM ({}) counted").format(rows))


def explain_matching(collection: Collection, request: ItemsRequest) -> Statement:
    """The planner's estimate of how many features match, as EXPLAIN (FORMAT JSON) prints it."""
    tests = where(list(conditions(collection, request)))
    part = SQL("EXPLAIN (FORMAT JSON) SELECT 1 FROM {} t{}").format(_source(collection, request), tests)
    return compose("items.estimate", part)
