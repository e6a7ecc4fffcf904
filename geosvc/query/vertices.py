"""How many vertices the geometries of a table have."""

from geosvc.sql.compose import SQL, Identifier, Statement, compose


def select_vertices(schema: str, table: str, column: str) -> Statement:
    """One number: the vertices of a geometry on average, in the first rows of a table."""
    part = SQL("SELECT avg(ST_NPoints(s.g))::float8 FROM (SELECT t.{}::geometry AS g FROM {} t LIMIT 100) s").format(
        Identifier(column), Identifier(schema, table)
    )
    return compose("operations.vertices", part)
