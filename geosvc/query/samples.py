"""Some geometries of a table, looked at."""

from geosvc.sql.compose import SQL, Composable, Identifier, Param, Statement, compose

SAMPLED_ROWS = 2_000


def select_sample(schema: str, table: str, column: str, rows: int) -> Statement:
    """One row: how many geometries were looked at, how many are invalid, their SRIDs. Only ST_IsValid and ST_SRID look at
    them: other functions crash the server on some that can be stored.

    Args:
        rows: of the table, estimated; of a large one some pages are read, of a small one all.
    """
    source: Composable = SQL("{} t").format(Identifier(schema, table))
    if rows > 4 * SAMPLED_ROWS:
        share = Param(100.0 * 4 * SAMPLED_ROWS / rows, "float4")
        source = SQL("{} t TABLESAMPLE SYSTEM ({})").format(Identifier(schema, table), share)
    part = SQL(
        "SELECT count(*), count(*) FILTER (WHERE NOT ST_IsValid(s.g)), array_agg(DISTINCT ST_SRID(s.g))"
        " FROM (SELECT t.{column}::geometry AS g FROM {source} WHERE t.{column} IS NOT NULL LIMIT {limit}) s"
    ).format(column=Identifier(column), source=source, limit=Param(SAMPLED_ROWS, "int8"))
    return compose("check.sample", part)
