"""A plan that one request left serves every other of the same style, and no value of the first is in
it.
"""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from geosvc.formats import CSV_FORMAT, GEOJSON_FORMAT
from geosvc.model.collection import RelationKind
from geosvc.query.features import MAX_PLANS, PagePlans, select_items
from geosvc.query.paging import pages_of
from geosvc.requests.cursor import Cursor
from geosvc.requests.items import (
    ItemsQuery,
    PageLimits,
    ReadingRules,
    SortKey,
    parse_items_query,
)
from tests.unit.samples import collection, column, geometry, parameter

COLUMNS = (
    column("id", "int4", not_null=True),
    column("name"),
    column("at", "timestamptz"),
    column("big", "int8"),
)
COLLECTIONS = (
    collection(*COLUMNS, key=("id",), temporal=("at",)),
    collection(
        *COLUMNS, key=("id",), temporal=("at",), geometry_column=geometry(kind="POLYGON", srid=3067)
    ),
    collection(*COLUMNS, kind=RelationKind.VIEW, temporal=("at",)),
)
RULES = ReadingRules(PageLimits(10, 1_000))
PARAMETERS: dict[str, list[str]] = {
    "limit": ["1", "10", "500"],
    "offset": ["0", "7", "70"],
    "bbox": ["0,0,1,1", "24,60,25,61", "170,-10,-170,10", "-180,-90,180,90", "1,2,3,4,5,6"],
    "datetime": ["2020-01-01T00:00:00Z/..", "../2021-01-01T00:00:00Z"],
    "name": ["a", "b"],
    "filter": ["big > 1", "big > 2", "name LIKE 'x%'"],
    "sortby": ["name", "-name,at"],
    "properties": ["name", "at,big"],
    "skipGeometry": ["true"],
    "precision": ["1", "3"],
    "zoom-level": ["3", "9"],
    "bigint": ["string"],
}


@st.composite
def queries(draw: st.DrawFn, described: Any) -> ItemsQuery:
    names = draw(st.sets(st.sampled_from(sorted(PARAMETERS)), max_size=5))
    values = {name: draw(st.sampled_from(PARAMETERS[name])) for name in sorted(names)}
    query = parse_items_query(values, described, RULES)
    if "offset" in values or not draw(st.booleans()):
        return query
    pages = pages_of(described, query)
    after = tuple(draw(st.sampled_from(["1", "2", None])) for _ in range(pages.sort_values))
    return ItemsQuery(
        **{name: getattr(query, name) for name in query.__dataclass_fields__ if name != "cursor"},
        cursor=Cursor(pages.digest, after, offset=draw(st.integers(0, 5))),
    )


@given(st.data())
def test_a_statement_of_a_kept_plan_is_that_of_a_new_one(data: st.DataObject) -> None:
    plans = PagePlans()
    described = data.draw(st.sampled_from(COLLECTIONS))
    feature_format = data.draw(st.sampled_from([GEOJSON_FORMAT, CSV_FORMAT]))
    for query in data.draw(st.lists(queries(described), min_size=2, max_size=8)):
        bound = plans.find(described, query, feature_format).bind(query)
        assert bound == select_items(described, query, feature_format)


def test_a_plan_is_made_once_for_a_style() -> None:
    plans = PagePlans()
    first = plans.find(COLLECTIONS[0], ItemsQuery(10), GEOJSON_FORMAT)
    assert plans.find(COLLECTIONS[0], ItemsQuery(20, offset=5), GEOJSON_FORMAT) is first
    assert plans.find(COLLECTIONS[0], ItemsQuery(10), CSV_FORMAT) is not first
    assert plans.find(COLLECTIONS[1], ItemsQuery(10), GEOJSON_FORMAT) is not first
    sorted_by_name = ItemsQuery(10, sortby=(SortKey("name", False),))
    assert plans.find(COLLECTIONS[0], sorted_by_name, GEOJSON_FORMAT) is not first


def test_the_plans_used_longest_ago_are_dropped() -> None:
    plans = PagePlans()
    kept = [collection(*COLUMNS, key=("id",)) for _ in range(MAX_PLANS + 1)]
    first, *others = [plans.find(each, ItemsQuery(10), GEOJSON_FORMAT) for each in kept]
    assert plans.find(kept[-1], ItemsQuery(10), GEOJSON_FORMAT) is others[-1]
    assert plans.find(kept[0], ItemsQuery(10), GEOJSON_FORMAT) is not first


def test_the_arguments_of_a_function_are_in_no_kept_plan() -> None:
    plans = PagePlans()
    function = collection(*COLUMNS, kind=RelationKind.FUNCTION, parameters=(parameter("year"),))
    for year in ("1999", "2000"):
        query = ItemsQuery(10, arguments=(("year", year),))
        assert year in plans.find(function, query, GEOJSON_FORMAT).bind(query).statement.args
