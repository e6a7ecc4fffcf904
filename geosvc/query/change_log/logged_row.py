"""What the triggers log of a row: its key, its box and its state, in SQL.

All names have their schema: the search_path of the session may be anything.
"""

from geosvc.model.collection import Column
from geosvc.query.change_log.published_table import PublishedTable, is_builtin
from geosvc.query.sql_parts import all_of, comma_list
from geosvc.sql.compose import SQL, Composable, Composed, Identifier, NumberLiteral

STATE_BYTES = 65_536

_TEXTS = frozenset({"text", "varchar", "bytea"})
_NUMBERS = frozenset({"bool", "int2", "int4", "int8", "float4", "float8", "money", "oid", "pg_lsn"})
_TIMES = frozenset({"date", "time", "timetz", "timestamp", "timestamptz", "interval"})
_GEOMETRIC_TYPES = frozenset({"point", "box", "circle", "line", "lseg"})
_IDENTIFIERS = frozenset({"uuid", "char", "name", "macaddr", "macaddr8"})
_OF_FIXED_SIZE = frozenset().union(_NUMBERS, _TIMES, _GEOMETRIC_TYPES, _IDENTIFIERS)
_ESCAPED = SQL("pg_catalog.regexp_replace({}, E'([\\\\\\\\,])', E'\\\\\\\\\\\\1', 'g')")


def key_text(table: PublishedTable) -> Composed:
    r"""Write the feature id as `query.id_member.feature_id` does.

    The notation E'' means the same whatever standard_conforming_strings is.
    """
    columns = {column.name: column for column in table.columns}
    parts = [_text(columns[name]) for name in table.key]
    if len(parts) > 1:
        parts = [_ESCAPED.format(part) for part in parts]
    return SQL(" OPERATOR(pg_catalog.||) ',' OPERATOR(pg_catalog.||) ").join(parts)


def _text(column: Column) -> Composed:
    """Write a value that is not NULL as text."""
    template = SQL("pg_catalog.format('%s', r.{})")
    if is_builtin(column):
        template = SQL("r.{}::pg_catalog.text")
    text = template.format(Identifier(column.name))
    return SQL('{} COLLATE pg_catalog."C"').format(text)


def _geometry(table: PublishedTable) -> Composed:
    return SQL("r.{column}::{geometry}").format(
        column=Identifier(table.geometries[0].name),
        geometry=Identifier(table.postgis, "geometry"),
    )


def bounding_box(table: PublishedTable) -> Composed:
    """Write the box of the first geometry of a row."""
    return SQL("{}::pg_catalog.box").format(_geometry(table))


def extent(table: PublishedTable) -> Composed:
    """Write the box of the first geometries of all rows."""
    return SQL("{st_extent}({geometry})::{box3d}::pg_catalog.box").format(
        st_extent=Identifier(table.postgis, "st_extent"),
        geometry=_geometry(table),
        box3d=Identifier(table.postgis, "box3d"),
    )


def rows_with_values(table: PublishedTable, rows: Composable) -> Composed:
    """Write the rows of a transition table as an item of FROM, each with its values.

    Args:
        rows: old_rows or new_rows.
    """
    values: list[Composable] = []
    for column in table.columns:
        value = SQL("{} AS {}").format(_value(column), Identifier(column.name))
        values.append(value)
    for geometry in table.geometries:
        value = SQL("r.{name}::pg_catalog.text AS {name}").format(name=Identifier(geometry.name))
        values.append(value)
    return SQL("{rows} r, LATERAL (SELECT {values}) {row}").format(
        rows=rows,
        values=comma_list(values),
        row=_row_name(table),
    )


def _row_name(table: PublishedTable) -> Identifier:
    """Return a name that no column has: in row_to_json(x) a column x would win over the row x."""
    names = table.state.columns
    number = 0
    while f"s{number}" in names:
        number += 1
    return Identifier(f"s{number}")


def _value(column: Column) -> Composed:
    """Write a value such that json_populate_record reads the same value from its JSON.

    That is the value itself, or a text that the input function of its type reads.
    """
    value = SQL("r.{}").format(Identifier(column.name))
    if not is_builtin(column):
        template = SQL(
            "CASE WHEN pg_catalog.num_nulls({v}) OPERATOR(pg_catalog.=) 0"
            " THEN pg_catalog.format('%s', {v}) END"
        )
        return template.format(v=value)
    if column.type_name.startswith("reg"):
        # the search_path decides how names are written and read
        return SQL("{}::pg_catalog.oid").format(value)
    if column.type_name.startswith("_reg"):
        return SQL("{}::pg_catalog._oid::pg_catalog.text").format(value)
    if column.category == "A":
        # JSON does not have the lower bounds of arrays
        return SQL("{}::pg_catalog.text").format(value)
    return value


def state_json(table: PublishedTable) -> Composed:
    """Write the row as JSON; NULL if it is too large.

    Its size is known without reading values that are stored out of line.
    """
    size = SQL(" OPERATOR(pg_catalog.+) ").join(_sizes(table))
    limit = NumberLiteral(STATE_BYTES)
    conditions = [SQL("{} OPERATOR(pg_catalog.<=) {}").format(size, limit)]
    for column in table.columns:
        if is_builtin(column) and column.type_name == "json":
            conditions.append(_has_no_bad_escapes(column))
    return SQL("CASE WHEN {conditions} THEN pg_catalog.row_to_json({row}) END").format(
        conditions=all_of(conditions),
        row=_row_name(table),
    )


def _sizes(table: PublishedTable) -> list[Composed]:
    """Write the sizes of the values, bytes; values of types of a fixed size are not counted."""
    stored = SQL("COALESCE(pg_catalog.pg_column_size(r.{}), 0)")
    # A text may be stored compressed to a hundredth of its length.
    whole = SQL("COALESCE(pg_catalog.octet_length(r.{}), 0)")
    sizes: list[Composed] = []
    for geometry in table.geometries:
        sizes.append(stored.format(Identifier(geometry.name)))
    for column in table.columns:
        name = Identifier(column.name)
        if is_builtin(column) and column.type_name in _TEXTS:
            sizes.append(whole.format(name))
        elif not is_builtin(column) or column.type_name not in _OF_FIXED_SIZE:
            sizes.append(stored.format(name))
    return sizes


def _has_no_bad_escapes(column: Column) -> Composed:
    """Check a json value: it may hold escapes for which json_populate_record would raise."""
    template = SQL(
        "r.{}::pg_catalog.text OPERATOR(pg_catalog.~*) E'\\\\\\\\u(d[89a-f]|0000)' IS NOT TRUE"
    )
    return template.format(Identifier(column.name))
