"""The statements that count the features of a query, or estimate how many there are."""

from geosvc.model.collection import Collection
from geosvc.query.conditions import query_conditions, where_clause
from geosvc.query.features import source_of
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import REQUEST_TAG, SQL, Param, Statement, compose


def select_matching(
    collection: Collection,
    query: ItemsQuery,
    at_most: int | None = None,
    geometry_test: GeometryTest = GeometryTest.EXACT,
) -> Statement:
    """Count the features that match, on all pages; the row is one number.

    Args:
        at_most: where counting stops; None for never.
    """
    conditions = [REQUEST_TAG, *query_conditions(collection, query, geometry_test)]
    rows = SQL("SELECT 1 FROM {source} t{where}").format(
        source=source_of(collection, query),
        where=where_clause(conditions),
    )
    if at_most is not None:
        rows = SQL("{} LIMIT {}").format(rows, Param(at_most, "int8"))
    count = SQL("SELECT count(*) FROM ({}) counted")
    return compose("items.count", count.format(rows))


def explain_matching(collection: Collection, query: ItemsQuery) -> Statement:
    """Let the planner estimate how many features match.

    The row is that of EXPLAIN (FORMAT JSON).
    """
    conditions = list(query_conditions(collection, query, GeometryTest.BOX_ONLY))
    explain = SQL("EXPLAIN (FORMAT JSON) SELECT 1 FROM {source} t{where}").format(
        source=source_of(collection, query),
        where=where_clause(conditions),
    )
    return compose("items.estimate", explain)
