"""The statements that check some rows of a table."""

from collections.abc import Sequence

from geosvc.model.collection import Collection
from geosvc.query.geometry.expressions import PLAIN_TYPE_NAMES
from geosvc.query.sql_parts import all_of, comma_list, relation_name, row_column
from geosvc.sql.compose import SQL, Composable, Identifier, Param, Statement, compose

SAMPLED_ROWS = 2_000
TRIED_ROWS = 200
COUNTED_REPEATS = 1_000


def count_repeats(collection: Collection, at_most: int = COUNTED_REPEATS) -> Statement:
    """Count the values of the key that several rows have; the row is one number.

    Args:
        at_most: where counting stops.
    """
    names = [row_column(name) for name in collection.key]
    not_null = [SQL("{} IS NOT NULL").format(name) for name in names]
    select = SQL(
        "SELECT count(*) FROM (SELECT FROM {relation} t WHERE {not_null} GROUP BY {names}"
        " HAVING count(*) > 1 LIMIT {at_most}) repeated"
    ).format(
        relation=relation_name(collection),
        not_null=all_of(not_null),
        names=comma_list(names),
        at_most=Param(at_most, "int8"),
    )
    return compose("check.repeats", select)


def select_sample(
    schema: str,
    table: str,
    column: str,
    rows: int,
) -> Statement:
    """Check the geometries of some rows.

    The row is (number of geometries, number of invalid ones, SRIDs that occur, number of geometries
    that have rings or members but no point). Only GeometryType, ST_IsValid, ST_SRID, ST_IsEmpty and
    ST_NPoints are called: other functions crash the server for some geometries.

    Args:
        rows: the estimated rows of the table. Of a large table some pages are read, of a small one
            all.
    """
    source: Composable = SQL("{} t").format(Identifier(schema, table))
    if rows > 4 * SAMPLED_ROWS:
        percentage = Param(100.0 * 4 * SAMPLED_ROWS / rows, "float4")
        source = SQL("{} t TABLESAMPLE SYSTEM ({})").format(Identifier(schema, table), percentage)
    # ST_IsValid raises for surfaces of patches, and for collections that hold one.
    part = SQL(
        "SELECT count(*),"
        " count(*) FILTER (WHERE CASE WHEN GeometryType(s.g) IN ({plain})"
        " THEN NOT ST_IsValid(s.g) END),"
        " array_agg(DISTINCT ST_SRID(s.g)),"
        " count(*) FILTER (WHERE NOT ST_IsEmpty(s.g) AND ST_NPoints(s.g) = 0)"
        " FROM (SELECT t.{column}::geometry AS g FROM {source}"
        " WHERE t.{column} IS NOT NULL LIMIT {limit}) s"
    ).format(
        plain=PLAIN_TYPE_NAMES,
        column=Identifier(column),
        source=source,
        limit=Param(SAMPLED_ROWS, "int8"),
    )
    return compose("check.sample", part)


def read_some(
    schema: str,
    name: str,
    columns: Sequence[str],
) -> Statement:
    """Compute every value of these columns in TRIED_ROWS rows; the row is one number."""
    names = comma_list(Identifier(column) for column in columns)
    select = SQL(
        "SELECT count(ROW({names})) FROM (SELECT {names} FROM {relation} LIMIT {rows}) t"
    ).format(
        names=names,
        relation=Identifier(schema, name),
        rows=Param(TRIED_ROWS, "int8"),
    )
    return compose("check.reading", select)
