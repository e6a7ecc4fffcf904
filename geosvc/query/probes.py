"""Statements that find out why a read failed, and at which feature and property.

`database.reads.failure_cause` and `database.reads.failure_location` run them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace

from geosvc.cql2.tree import Property
from geosvc.model.collection import Collection
from geosvc.query.conditions import query_conditions
from geosvc.query.features import FeaturePage, select_features, source_of
from geosvc.query.geojson_projection import GEOJSON_PROJECTION
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.id_member import feature_id
from geosvc.query.paging import page_start
from geosvc.query.projection import write_feature
from geosvc.query.sort_order import can_trust_key, order_of
from geosvc.query.sql_parts import comma_list, relation_name, row_column
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import SQL, Composable, Statement, compose

_IN_PARENTHESES = SQL("({})")


def try_without_data(collection: Collection, query: ItemsQuery) -> Statement:
    """Evaluate the conditions of a query for a row that is all NULL: no stored value is read."""
    values: list[Composable] = []
    for condition in query_conditions(collection, query, GeometryTest.BOX_ONLY):
        values.append(_IN_PARENTHESES.format(condition))
    keys = order_of(collection, query)
    start, _ = page_start(keys, query)
    if start is not None:
        values.append(_IN_PARENTHESES.format(start))
    if not values:
        values.append(SQL("true"))
    probe = SQL("SELECT {values} FROM (SELECT (NULL::{relation}).* OFFSET 0) t").format(
        values=comma_list(values),
        relation=relation_name(collection),
    )
    return compose("probe.values", probe)


def filtered_properties(node: object) -> Iterator[str]:
    """Yield the names of the properties in the tree of a filter, with repetitions.

    Args:
        node: a node of the tree, a tuple of nodes, or an attribute of a node.
    """
    if isinstance(node, Property):
        yield node.name
    elif isinstance(node, tuple):
        for item in node:
            yield from filtered_properties(item)
    elif is_dataclass(node):
        for attribute in fields(node):
            value = getattr(node, attribute.name)
            yield from filtered_properties(value)


def read_filtered(collection: Collection, query: ItemsQuery) -> Statement | None:
    """Read all values of the columns that the filter names, without the filter.

    Returns None where the filter names no column.
    """
    if query.filter is None:
        return None
    counts: list[Composable] = []
    names = filtered_properties(query.filter.condition)
    for name in dict.fromkeys(names):
        if name in collection.by_name:
            counts.append(SQL("count({})").format(row_column(name)))
    if not counts:
        return None
    probe = SQL("SELECT {counts} FROM {source} t").format(
        counts=comma_list(counts),
        source=source_of(collection, query),
    )
    return compose("probe.columns", probe)


def write_some(
    page: FeaturePage,
    properties: Sequence[str],
    rows: int,
) -> Statement:
    """Write the first rows of a page with some of its properties and without the geometry.

    A row is (text, sort values, id or NULL).
    """
    collection = page.collection
    without_geometry = replace(page.query.geometry, skip=True)
    query = replace(page.query, properties=tuple(properties), geometry=without_geometry)
    if can_trust_key(collection, query):
        query = replace(query, trusts_key=True)
    text: Composable = SQL("''")
    if properties:
        text = write_feature(collection, query, GEOJSON_PROJECTION, GeometryTest.SAFE).feature
    identity: Composable = SQL("NULL")
    if collection.key:
        identity = feature_id(collection)
    id_as_text = SQL("({})::text").format(identity)
    columns = ([text], [id_as_text])
    probe = select_features(collection, query, columns, rows, GeometryTest.SAFE)
    return compose("probe.rows", probe)
