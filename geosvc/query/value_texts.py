"""Statements that write property values which PostgreSQL may be unable to write as JSON.

The values are sent back to PostgreSQL as the texts that their types print. A cast to JSON is
defined by whoever made the type: it may raise, and PostGIS writes `NaN` and `[,` for some
geometries, which is not JSON. The output function of a type, which `format` calls, is reliable:
COPY and pg_dump use it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from geosvc.model.collection import Column
from geosvc.query.sql_parts import comma_list
from geosvc.sql.compose import SQL, Composable, Identifier, Param, Statement, compose


@dataclass(frozen=True, slots=True)
class TypeName:
    """The name of a type, as in pg_type."""

    schema: str
    name: str

    @property
    def identifier(self) -> Identifier:
        """The name in SQL."""
        return Identifier(self.schema, self.name)


def is_doubtful(column: Column) -> bool:
    """Whether the cast of a value to JSON may fail; casts of PostgreSQL's own types never do."""
    return column.type_schema != "pg_catalog"


def checked_json(value: Composable) -> Composable:
    """Write a value as json; raise where its cast raises or does not return JSON."""
    return SQL("to_json({})::text::json").format(value)


def printed(value: Composable) -> Composable:
    """Write a value as its type prints it.

    `IS NULL` is true for a composite value whose attributes are all NULL, so NULLs are counted.
    """
    return SQL("CASE WHEN num_nulls({v}) = 0 THEN format('%s', {v}) END").format(v=value)


def write_as_json(type_name: TypeName, texts: Sequence[str]) -> Statement:
    """Write values of a type as JSON; a row is (JSON text)."""
    json = SQL("{}::text").format(checked_json(SQL("r.v")))
    return _write_each("values.json", type_name, texts, json)


def write_as_text(type_name: TypeName, texts: Sequence[str]) -> Statement:
    """Cast values of a type to text; a row is (text)."""
    return _write_each("values.text", type_name, texts, SQL("r.v::text"))


def write_geometries(type_name: TypeName, texts: Sequence[str]) -> Statement:
    """Write geometries as GeoJSON, arcs as segments; a row is (GeoJSON text)."""
    linear = SQL("CASE WHEN ST_HasArc(r.v) THEN ST_CurveToLine(r.v) ELSE r.v END")
    json = SQL("{}::text").format(checked_json(linear))
    return _write_each("values.geometries", type_name, texts, json)


def take_composites_apart(
    type_name: TypeName,
    attributes: Sequence[str],
    texts: Sequence[str],
) -> Statement:
    """Take values of a composite type apart; a row is (texts of the attributes)."""
    parts = []
    for attribute in attributes:
        value = SQL("(r.v).{}").format(Identifier(attribute))
        parts.append(printed(value))
    array = SQL("ARRAY[{}]::text[]").format(comma_list(parts))
    return _write_each("values.attributes", type_name, texts, array)


def take_arrays_apart(type_name: TypeName, texts: Sequence[str]) -> Statement:
    """Take arrays apart; a row is (texts of the elements, length of each dimension)."""
    columns = SQL(
        "ARRAY(SELECT {} FROM (SELECT unnest(r.v) AS e OFFSET 0) u)::text[],"
        " ARRAY(SELECT array_length(r.v, d)"
        " FROM generate_series(1, array_ndims(r.v)) d)::int4[]"
    ).format(printed(SQL("u.e")))
    return _write_each("values.elements", type_name, texts, columns)


def _write_each(
    name: str,
    type_name: TypeName,
    texts: Sequence[str],
    columns: Composable,
) -> Statement:
    """Select columns for each of these texts.

    Args:
        columns: `r.v` is the value of the type that the text prints.
    """
    part = SQL(
        "SELECT {columns} FROM unnest({texts}) WITH ORDINALITY AS l(text, ordinal),"
        " LATERAL json_to_record(json_build_object('v', l.text)) AS r(v {kind}) ORDER BY l.ordinal"
    ).format(columns=columns, texts=Param(list(texts), "text[]"), kind=type_name.identifier)
    return compose(name, part)
