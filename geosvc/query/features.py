"""The statements that read the features of a page.

PostgreSQL writes a feature as one text (docs/decisions/0002); Python joins the texts and sends
them. The sort values follow the feature in each row, for the cursor of the next page.

`PagePlans.find` gives the plan of a style, `FeaturePlan.bind` the statement of a request. That of
`/collections/shops/items?bbox=5,45,12,52` is, with `…` for what the plan has of the feature:

    SELECT convert_to('{"type":"Feature",' || … || '}', 'UTF8'), t."id"::text
    FROM "public"."shops" t
    WHERE (SELECT set_config('application_name', $2::text, true)) IS NOT NULL
      AND ($3::bool OR (SELECT count(*) FROM generate_series(1::int8, 9…)) > 0)
      AND (t."geom" && ST_MakeEnvelope($4, $5, $6, $7, 4326) AND …)
    ORDER BY t."id" LIMIT $8::int8

The plan is everything up to the first condition, and the order. The first condition names the
request in pg_stat_activity, the second one asks for a plan of its own (`PLANNED_BY_VALUES`).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from geosvc.errors import CollectionBroken
from geosvc.model.collection import Collection, Parameter
from geosvc.query.conditions import cast_text, query_conditions
from geosvc.query.feature_format import FeatureFormat
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.geometry.nearest import Candidates, select_nearest
from geosvc.query.geometry.search_geometry import is_nearest
from geosvc.query.paging import page_start
from geosvc.query.projection import write_feature
from geosvc.query.sort_order import OrderKey, can_trust_key, order_by_clause, order_of
from geosvc.query.sql_parts import all_of, comma_list, relation_name
from geosvc.query.versions import modified_of, version_of
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import (
    REQUEST_TAG,
    SQL,
    Composable,
    Composed,
    Fixed,
    Identifier,
    NumberLiteral,
    Param,
    Statement,
    compose,
)

MAX_SHAPE = 200  # characters
MAX_PLANS = 512
_PARAMETER_OF_FIELD = {"interval": "datetime"}
"""The parameter of a condition, where the field of `ItemsQuery` has another name."""

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


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """The statement of a page without the values of a request; it is made once and bound often.

    Attributes:
        select: everything but the conditions, the start and the size of the page.
        header, extra: as of FeaturePage.
    """

    collection: Collection
    format: FeatureFormat
    select: "FeatureSelect"
    header: tuple[str, ...]
    extra: tuple[Composable, ...]

    def bind(self, query: ItemsQuery) -> FeaturePage:
        """Select the features of a page and one more, which shows that there is a next page.

        Without a limit all features are selected.

        Args:
            query: of the style that the plan was made for.
        """
        name = EXPORT_NAME
        rows = None
        if query.limit is not None:
            name = PAGE_NAME
            rows = query.limit + 1
        select = self.select.statement_for(self.collection, query, rows, GeometryTest.EXACT)
        return FeaturePage(
            self.collection,
            query,
            self.format,
            statement=compose(name, select, statement_shape(query)),
            header=self.header,
            extra=self.extra,
        )


def _plan_page(
    collection: Collection,
    query: ItemsQuery,
    feature_format: FeatureFormat,
    extra: tuple[Composable, ...] = (),
) -> FeaturePlan:
    """Plan the statement of all pages of a style.

    Args:
        query: its style, and the spatial relation or the arguments of a function, if any.
        extra: columns at the end of each row.
    """
    written = write_feature(collection, query, feature_format.projection)
    select = _plan_select(collection, query, ([written.feature], extra))
    return FeaturePlan(collection, feature_format, select, written.header, extra)


_PlanKey = tuple[int, int, tuple[object, ...]]
"""(id() of the collection, id() of the format, what tells the styles of queries apart).

A plan holds its collection and its format, so no other object gets their id() meanwhile. After a
change of the catalog a collection is another object.
"""


class PagePlans:
    """The plans that were used last."""

    def __init__(self) -> None:
        self._plans: OrderedDict[_PlanKey, FeaturePlan] = OrderedDict()

    def find(
        self, collection: Collection, query: ItemsQuery, feature_format: FeatureFormat
    ) -> FeaturePlan:
        """The plan for a query; it is made if there is none.

        That for a spatial relation, or for the arguments of a function, has their values, and is
        not kept.
        """
        if query.spatial is not None or collection.parameters is not None:
            return _plan_page(collection, query, feature_format)
        key = (id(collection), id(feature_format), query.style_key())
        plan = self._plans.get(key)
        if plan is not None:
            self._plans.move_to_end(key)
            return plan
        plan = _plan_page(collection, query.style(), feature_format)
        self._plans[key] = plan
        if len(self._plans) > MAX_PLANS:
            self._plans.popitem(last=False)
        return plan


def select_items(
    collection: Collection,
    query: ItemsQuery,
    feature_format: FeatureFormat,
    extra: tuple[Composable, ...] = (),
) -> FeaturePage:
    """Plan and bind the statement of one page."""
    return _plan_page(collection, query, feature_format, extra).bind(query)


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
    by_key = replace(query, limit=1, equals=equals)
    version = version_of(collection)
    modified = modified_of(collection)
    return select_items(collection, by_key, feature_format, (*extra, version, modified))


def without_version(page: FeaturePage) -> FeaturePage:
    """Select the same feature without its version, which is computed from all columns."""
    no_version = SQL("''")
    no_modified = SQL("NULL::float8")
    extra = (*page.extra[:-2], no_version, no_modified)
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
    select = _plan_select(collection, query, columns)
    return select.statement_for(collection, query, rows, geometry_test)


@dataclass(frozen=True, slots=True)
class FeatureSelect:
    """A SELECT of features, without the values of a request.

    Attributes:
        columns, source: what is selected, and from what.
        keys: what the rows are ordered by.
        select_from: the statement up to its conditions; not for the nearest rows, which are
            selected by another one.
        order_by: the statement behind its conditions.
    """

    columns: Sequence[Composable]
    source: Composable
    keys: tuple[OrderKey, ...]
    select_from: Composable
    order_by: Composable

    def statement_for(
        self,
        collection: Collection,
        query: ItemsQuery,
        rows: int | None,
        geometry_test: GeometryTest,
    ) -> Composable:
        """Write the statement for the features of a query.

        Args:
            rows: how many rows at most; None for all.
        """
        conditions = list(query_conditions(collection, query, geometry_test))
        start, offset = page_start(self.keys, query)
        if start is not None:
            conditions.append(start)
        parts: list[Composable]
        if query.spatial is not None and is_nearest(query.spatial):
            candidates = Candidates(self.source, tuple(conditions))
            parts = [
                select_nearest(collection, query.spatial, self.columns, candidates, geometry_test)
            ]
        else:
            # it ends with a condition, which the others follow
            parts = [all_of([self.select_from, *conditions]), self.order_by]
        if rows is not None:
            parts.append(SQL(" LIMIT {}").format(self._most(query, rows)))
        if offset:
            parts.append(SQL(" OFFSET {}").format(Param(offset, "int8")))
        return Composed(tuple(parts))

    def _most(self, query: ItemsQuery, rows: int) -> Composable:
        """Write the most rows of a page.

        In the order of the key all pages have one good plan. The planner finds it if it knows the
        number of rows.
        """
        if query.values_decide_plan or query.sortby or query.offset:
            return Param(rows, "int8")
        return NumberLiteral(rows)


def _plan_select(
    collection: Collection,
    query: ItemsQuery,
    columns: tuple[Sequence[Composable], Sequence[Composable]],
) -> FeatureSelect:
    """Plan a SELECT of features.

    Args:
        query, columns: as of `_plan_page` and of `select_features`.
    """
    keys = order_of(collection, query)
    source = source_of(collection, query)
    first, last = columns
    selected = [*first, *_sort_values(keys), *last]
    select_from = SQL("SELECT {columns} FROM {source} t WHERE {tag}").format(
        columns=comma_list(selected), source=source, tag=REQUEST_TAG
    )
    order_by = order_by_clause(keys)
    return FeatureSelect(selected, source, keys, Fixed(select_from), Fixed(order_by))


def _sort_values(keys: Sequence[OrderKey]) -> list[Composable]:
    """Write the values that a page is ordered by as text, for the cursor."""
    values: list[Composable] = []
    for key in keys:
        values.append(SQL("{}::text").format(key.expression))
    return values


def source_of(collection: Collection, query: ItemsQuery) -> Composable:
    """Write what features are selected from: the relation, or the function with its arguments.

    Raises: CollectionBroken where PostgreSQL cannot tell the function from another one.
    """
    relation = relation_name(collection)
    if collection.parameters is None:
        return relation
    if collection.ambiguous_with:
        raise _ambiguous(collection, collection.parameters)
    types = {parameter.name: parameter for parameter in collection.parameters}
    arguments = []
    for name, text in query.arguments:
        value = cast_text(types[name], text)
        argument = SQL("{} => {}").format(Identifier(name), value)
        arguments.append(argument)
    return SQL("{}({})").format(relation, comma_list(arguments))


def _ambiguous(collection: Collection, parameters: Sequence[Parameter]) -> CollectionBroken:
    declared = []
    for parameter in parameters:
        declared.append(f"{parameter.name} {parameter.type}")
    signature = f"{collection.schema}.{collection.name}({', '.join(declared)})"
    return CollectionBroken(
        f"PostgreSQL cannot tell {signature} from {collection.ambiguous_with}, which takes the same"
        " arguments and has defaults for the others: rename one, or drop the defaults"
    )


def statement_shape(query: ItemsQuery) -> str:
    """Name the parts that make the statement of a request different, without any values.

    For example `bbox category= sortby=-population next`. At most MAX_SHAPE characters.
    """
    parts = [f"{name}=" for name, _ in query.arguments]
    for condition in query.conditions():
        if condition == "equals":
            parts += [f"{name}=" for name, _ in query.equals]
        else:
            parts.append(_PARAMETER_OF_FIELD.get(condition, condition))
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
    cursor = query.cursor
    if cursor is not None and cursor.after:
        parts.append("next")
    elif cursor is not None and cursor.offset:
        has_offset = True
    if has_offset:
        parts.append("offset")
    return parts
