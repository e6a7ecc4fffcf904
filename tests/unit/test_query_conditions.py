"""Every condition of a query is a part of all that depends on which features match."""

from dataclasses import fields, replace
from typing import Any

import pytest

from geosvc.filter_functions import FilterFunctions
from geosvc.formats import GEOJSON_FORMAT
from geosvc.model.bbox import Bbox
from geosvc.model.spatial import Predicate, SpatialFilter
from geosvc.query.conditions import query_conditions
from geosvc.query.features import select_items, statement_shape
from geosvc.query.paging import digest_of
from geosvc.requests.items import CONDITIONS, STYLE, ItemsQuery, parse_items_query
from geosvc.sql.compose import PLANNED_BY_VALUES
from geosvc.values.temporal import parse_datetime
from tests.unit.samples import collection, column

PLACES = collection(
    column("id", "int4", not_null=True),
    column("name"),
    column("at", "timestamptz"),
    key=("id",),
    temporal=("at",),
)
POINT = bytes.fromhex("0101000020E610000000000000000000000000000000000000")
VALUES: dict[str, Any] = {
    "bbox": Bbox(0, 0, 1, 1),
    "interval": parse_datetime("2020-01-01T00:00:00Z/.."),
    "equals": (("name", "a"),),
    "spatial": SpatialFilter(POINT, (0, 0, 0, 0), Predicate.INTERSECTS),
    "filter": parse_items_query({"filter": "name = 'a'"}, PLACES).filter,
}
SHAPES = {
    "bbox": "bbox",
    "interval": "datetime",
    "equals": "name=",
    "spatial": "spatial",
    "filter": "filter",
}
PAGE = ("limit", "limited", "offset", "cursor", "count", "arguments")
"""The fields that concern a page, its count, or the function that makes the features."""


def test_every_field_is_a_condition_or_of_the_style_or_of_the_page() -> None:
    """Where this fails for a new field, add it to one of the three.

    Features have to fulfil a condition. `ItemsQuery.style` keeps the fields of the style only.
    """
    names = sorted(field.name for field in fields(ItemsQuery))
    assert names == sorted((*CONDITIONS, *STYLE, *PAGE))
    assert set(CONDITIONS) == VALUES.keys() == SHAPES.keys()


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_is_a_part_of_statements_counts_and_cursors(name: str) -> None:
    plain = ItemsQuery(limit=3)
    query = ItemsQuery(limit=3, offset=1, **{name: VALUES[name]})
    assert query.conditions() == {name: VALUES[name]}
    assert query.selection() == ItemsQuery(limit=None, **{name: VALUES[name]})
    assert list(query_conditions(PLACES, plain)) == []
    planned_by_values, _ = query_conditions(PLACES, query)
    assert planned_by_values is PLANNED_BY_VALUES
    assert statement_shape(query) == f"{SHAPES[name]} offset"
    assert digest_of(PLACES, query) != digest_of(PLACES, plain)
    texts = {select_items(PLACES, each, GEOJSON_FORMAT).statement.text for each in (plain, query)}
    assert len(texts) == 2


def test_a_query_without_conditions_selects_everything() -> None:
    query = ItemsQuery(limit=3, arguments=(("a", "1"),), count="exact", properties=("name",))
    assert query.conditions() == {}
    assert query.selection() == ItemsQuery(limit=None, arguments=(("a", "1"),), count="exact")


@pytest.mark.parametrize(
    ("names", "digest"),
    [
        ((), "79c4f794a9636bc0e9"),
        (("bbox", "interval", "equals"), "e0219da628ca180174"),
        (("filter",), "dcdfab7be939eee207"),
        (CONDITIONS, "d5681289a443d9503a"),
    ],
)
def test_a_cursor_of_an_earlier_version_remains_valid(names: tuple[str, ...], digest: str) -> None:
    query = ItemsQuery(limit=3, **{name: VALUES[name] for name in names})
    assert digest_of(PLACES, query) == digest


def test_a_cursor_depends_on_the_text_of_a_filter_and_not_on_the_functions_of_the_service() -> None:
    query = ItemsQuery(limit=3, filter=VALUES["filter"])
    other = replace(VALUES["filter"], functions=FilterFunctions({}))
    assert digest_of(PLACES, replace(query, filter=other)) == digest_of(PLACES, query)
