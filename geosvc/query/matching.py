"""The statements that count the features of a query, or estimate how many there are."""

from geosvc.model.collection import Collection
from geosvc.query.conditions import conditions, where
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
    tests = [REQUEST_TAG, *conditions(collection, query, geometry_test)]
    rows = SQL("SELECT 1 FROM {} t{}").format(source_of(collection, query), where(tests))
    if at_most is not None:
        rows = SQL("{} LIMIT {}").format(rows, Param(at_most, "int8"))
    return compose("items.count", SQL("SELECT count(*) FROM ({}) counted").format(rows))


def explain_matching(collection: Collection, query: ItemsQuery) -> Statement:
    """Let the planner estimate how many features match.

    The row is that of EXPLAIN (FORMAT JSON).
    """
    tests = list(conditions(collection, query, GeometryTest.BOX_ONLY))
    part = SQL("EXPLAIN (FORMAT JSON) SELECT 1 FROM {} t{}").format(
        source_of(collection, query), where(tests)
    )
    return compose("items.estimate", part)
