"""The statements that read the features of a page.

PostgreSQL writes a feature as one text (docs/decisions/0002); Python joins the texts and sends
them. The sort values follow the feature in each row, for the cursor of the next page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from geosvc.errors import CollectionBroken
from geosvc.model.collection import Collection, Parameter
from geosvc.query.conditions import cast_text, conditions, where
from geosvc.query.feature_format import FeatureFormat
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.geometry.nearest import Candidates, select_nearest
from geosvc.query.geometry.search_geometry import is_nearest
from geosvc.query.paging import page_start
from geosvc.query.projection import write_feature
from geosvc.query.sort_order import can_trust_key, order_by, order_of
from geosvc.query.versions import modified_of, version_of
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import REQUEST_TAG, SQL, Composable, Identifier, Param, Statement, compose

MAX_SHAPE = 200  # characters
PAGE_NAME = "items.page"
EXPORT_NAME = "items.export"


@dataclass(frozen=True, slots=True)
class FeaturePage:
    """A statement that reads features, and what it was made from.

    Attributes:
        statement: its rows are (the feature in UTF-8, the sort values as text, the values of
            `extra`).
        header: the names of the cells of a line, for CSV.
    """

    collection: Collection
    query: ItemsQuery
    format: FeatureFormat
    statement: Statement
    header: tuple[str, ...]
    extra: tuple[Composable, ...] = ()


def select_items(
    collection: Collection,
    query: ItemsQuery,
    feature_format: FeatureFormat,
    extra: tuple[Composable, ...] = (),
) -> FeaturePage:
    """Select the features of a page and one more, which shows that there is a next page.

    Without a limit all features are selected.

    Args:
        extra: columns at the end of each row.
    """
    written = write_feature(collection, query, feature_format.projection)
    columns = ([written.feature], extra)
    name, rows = EXPORT_NAME, None
    if query.limit is not None:
        name, rows = PAGE_NAME, query.limit + 1
    part = select_features(collection, query, columns, rows, GeometryTest.EXACT)
    statement = compose(name, part, statement_shape(query))
    return FeaturePage(collection, query, feature_format, statement, written.header, extra)


def select_item(
    collection: Collection,
    query: ItemsQuery,
    feature_format: FeatureFormat,
    key: Sequence[str],
    *extra: Composable,
) -> FeaturePage:
    """Select the feature with these key values.

    Its row ends with the values of `extra`, the version and when the feature was last modified.
    """
    equals = tuple(zip(collection.key, key, strict=True))
    one = replace(query, limit=1, equals=equals)
    columns = (*extra, version_of(collection), modified_of(collection))
    return select_items(collection, one, feature_format, columns)


def without_version(page: FeaturePage) -> FeaturePage:
    """Select the same feature without its version, which is computed from all columns."""
    unknown = (SQL("''"), SQL("NULL::float8"))
    extra = (*page.extra[:-2], *unknown)
    return select_items(page.collection, page.query, page.format, extra)


def ordered_by_key(page: FeaturePage) -> FeaturePage | None:
    """Select the same page in an order that does not read the content of its rows.

    Returns None where there is no such order (see `can_trust_key`).
    """
    if page.statement.name not in (PAGE_NAME, EXPORT_NAME):
        return None
    if not can_trust_key(page.collection, page.query):
        return None
    query = replace(page.query, trusts_key=True)
    return select_items(page.collection, query, page.format, page.extra)


def select_features(
    collection: Collection,
    query: ItemsQuery,
    columns: tuple[Sequence[Composable], Sequence[Composable]],
    rows: int | None,
    geometry_test: GeometryTest,
) -> Composable:
    """Select the features of a page in their order.

    Args:
        columns: what a row begins with, and what follows behind the sort values.
        rows: how many rows at most; None for all.
    """
    keys = order_of(collection, query)
    start, offset = page_start(keys, query)
    tests = list(conditions(collection, query, geometry_test))
    if start is not None:
        tests.append(start)
    source = source_of(collection, query)
    first, last = columns
    sort_values = [SQL("{}::text").format(key.expression) for key in keys]
    selected = [*first, *sort_values, *last]
    if query.spatial is not None and is_nearest(query.spatial):
        candidates = Candidates(source, tuple(tests))
        part = select_nearest(collection, query.spatial, selected, candidates, geometry_test)
    else:
        part = SQL("SELECT {} FROM {} t{}{}").format(
            SQL(", ").join(selected), source, where([REQUEST_TAG, *tests]), order_by(keys)
        )
    if rows is not None:
        part = SQL("{} LIMIT {}").format(part, Param(rows, "int8"))
    if offset:
        part = SQL("{} OFFSET {}").format(part, Param(offset, "int8"))
    return part


def source_of(collection: Collection, query: ItemsQuery) -> Composable:
    """Write what features are selected from: the relation, or the function with its arguments.

    Raises: CollectionBroken where PostgreSQL cannot tell the function from another one.
    """
    relation = Identifier(collection.schema, collection.name)
    if collection.parameters is None:
        return relation
    if collection.ambiguous_with:
        raise _ambiguous(collection, collection.parameters)
    types = {parameter.name: parameter for parameter in collection.parameters}
    arguments = []
    for name, text in query.arguments:
        value = cast_text(types[name], text)
        arguments.append(SQL("{} => {}").format(Identifier(name), value))
    return SQL("{}({})").format(relation, SQL(", ").join(arguments))


def _ambiguous(collection: Collection, parameters: Sequence[Parameter]) -> CollectionBroken:
    own = ", ".join(f"{parameter.name} {parameter.type}" for parameter in parameters)
    return CollectionBroken(
        f"PostgreSQL cannot tell {collection.schema}.{collection.name}({own}) from"
        f" {collection.ambiguous_with}, which takes the same arguments and has defaults for the"
        " others: rename one, or drop the defaults"
    )


def statement_shape(query: ItemsQuery) -> str:
    """Name the parts that make the statement of a request different, without any values.

    For example `bbox category= sortby=-population next`. At most MAX_SHAPE characters.
    """
    parts = [f"{name}=" for name, _ in query.arguments]
    if query.bbox is not None:
        parts.append("bbox")
    if query.interval is not None:
        parts.append("datetime")
    parts += [f"{name}=" for name, _ in query.equals]
    if query.spatial is not None:
        parts.append("spatial")
    if query.filter is not None:
        parts.append("filter")
    if query.sortby:
        parts.append(_sortby_shape(query))
    parts += _paging_shape(query)
    return " ".join(parts)[:MAX_SHAPE]


def _sortby_shape(query: ItemsQuery) -> str:
    names = []
    for key in query.sortby:
        sign = "-" if key.descending else ""
        names.append(f"{sign}{key.name}")
    return f"sortby={','.join(names)}"


def _paging_shape(query: ItemsQuery) -> list[str]:
    parts = []
    has_offset = query.offset > 0
    if query.cursor is not None and query.cursor.after:
        parts.append("next")
    elif query.cursor is not None and query.cursor.offset:
        has_offset = True
    if has_offset:
        parts.append("offset")
    return parts
