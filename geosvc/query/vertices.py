"""The statement that samples the geometries of a table."""

from geosvc.sql.compose import SQL, Identifier, Statement, compose


def select_vertices(
    schema: str,
    table: str,
    column: str,
) -> Statement:
    """Select what the geometries in the first rows of a table are like.

    The row is (vertices of a geometry on average, SRIDs, values of ST_Zmflag).
    """
    part = SQL(
        "SELECT avg(ST_NPoints(s.g))::float8, array_agg(DISTINCT ST_SRID(s.g)),"
        " array_agg(DISTINCT ST_Zmflag(s.g)::int4)"
        " FROM (SELECT t.{column}::geometry AS g FROM {table} t"
        " WHERE t.{column} IS NOT NULL LIMIT 100) s"
    ).format(column=Identifier(column), table=Identifier(schema, table))
    return compose("operations.vertices", part)
