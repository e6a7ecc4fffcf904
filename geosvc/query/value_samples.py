"""The statements that find how the values of a property are divided, in a bounded sample of rows.

Values are those that a tile has. If a query selects features, the first of those are read. Else, of
a large table, random pages are read, and always the same ones while the table does not change; of a
small table, a view and a function the first rows.
"""

from geosvc.model.collection import Collection, Column
from geosvc.query.conditions import query_conditions, where_clause
from geosvc.query.features import source_of
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.tiles.thinning import can_be_sampled, sample_of
from geosvc.query.tiles.tile_values import tile_value
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import SQL, Composable, Param, Statement, compose

SAMPLED_ROWS = 10_000
CLASSES = 5
_READ_WHOLE = 4 * SAMPLED_ROWS
_FRACTIONS = [number / CLASSES for number in range(CLASSES)]


def select_quantiles(collection: Collection, column: Column, query: ItemsQuery) -> Statement:
    """Divide numbers into CLASSES classes.

    The row is (the least number of each class or NULL, whether a row has no number).

    Args:
        query: selects the features.
    """
    number = SQL("({})::float8").format(tile_value(column, bigint_as_text=False))
    select = SQL(
        "SELECT percentile_disc({fractions}) WITHIN GROUP (ORDER BY s.v), count(*) > count(s.v)"
        " FROM (SELECT CASE WHEN abs(r.v) < 1e308 THEN r.v END AS v FROM ({sample}) r) s"
    ).format(fractions=Param(_FRACTIONS, "float8[]"), sample=_sample(collection, number, query))
    return compose("style.quantiles", select)


def select_common_values(
    collection: Collection, column: Column, query: ItemsQuery, most: int
) -> Statement:
    """Select the most common values; a row is (text or NULL), the most common one first.

    Args:
        query: selects the features.
        most: how many there are at the most.
    """
    text = SQL("({})::text").format(tile_value(column, bigint_as_text=False))
    select = SQL(
        'SELECT s.v FROM ({sample}) s GROUP BY s.v ORDER BY count(*) DESC, s.v COLLATE "C"'
        " LIMIT {most}"
    ).format(sample=_sample(collection, text, query), most=Param(most, "int8"))
    return compose("style.common", select)


def _sample(collection: Collection, value: Composable, query: ItemsQuery) -> Composable:
    """Write the rows of a sample: the value as `v`."""
    source = source_of(collection, query)
    rows = collection.rows or 0
    share = 1.0
    if can_be_sampled(collection) and rows > _READ_WHOLE and not query.conditions():
        share = SAMPLED_ROWS / rows
    conditions = list(query_conditions(collection, query, GeometryTest.SAFE))
    return SQL("SELECT {value} AS v FROM {source} t{sampling}{where} LIMIT {most}").format(
        value=value,
        source=source,
        sampling=sample_of(share),
        where=where_clause(conditions),
        most=Param(_READ_WHOLE, "int8"),
    )
