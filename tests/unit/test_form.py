"""The form of the items page: its fields become parameters, and parameters fill its fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.model.collection import RelationKind
from geosvc.requests import form
from geosvc.requests.form import Form, fill_form
from geosvc.requests.form_fields import CORNERS, is_form, read_form
from geosvc.requests.items import PageLimits, ReadingRules, parse_items_query
from tests.unit.samples import collection, column, parameter

RULES = ReadingRules(PageLimits(10, 200))
CITIES = collection(
    column("id", "int4"),
    column("name"),
    column("population", "int8"),
    column("capital", "bool"),
    column("founded", "date"),
    column("seen", "timestamptz"),
    column("tags", "jsonb"),
    column("limit", "int4"),
    column("a,b"),
    column("form.west"),
    key=("id",),
    temporal=("seen",),
)


def condition(number: int, name: str, operator: str, value: str = "") -> dict[str, str]:
    """The fields of one line."""
    return {
        f"form.property.{number}": name,
        f"form.operator.{number}": operator,
        f"form.value.{number}": value,
    }


def test_what_is_left_empty_is_left_out() -> None:
    fields = {
        "form.south": "",
        "form.east": "",
        "form.north": "",
        "datetime": "",
        "limit": "10",
        "sortby": "",
        "filter": "",
    }
    assert is_form(fields, CITIES)
    assert read_form({**fields, **condition(0, "", "=")}, CITIES) == {"limit": "10"}


def test_four_corners_become_a_box() -> None:
    places = collection(column("name"))
    fields = {"form.west": "5", "form.south": "45", "form.east": " 12", "form.north": "52"}
    assert read_form(fields, places) == {"bbox": "5,45,12,52"}
    assert read_form({"form.west": "5"}, places) == {"bbox": "5,,,"}


def test_equality_is_a_parameter_of_its_own() -> None:
    assert read_form(condition(0, "name", "=", "Åbo & Co"), CITIES) == {"name": "Åbo & Co"}


def test_a_column_called_like_a_field_of_the_form_is_a_property() -> None:
    assert not is_form({"form.west": "x"}, CITIES)
    assert read_form({"form.west": "x", "form.south": "1"}, CITIES) == {
        "bbox": ",1,,",
        "form.west": "x",
    }


@pytest.mark.parametrize(
    ("name", "operator", "value", "text"),
    [
        ("population", ">", "100000", '"population" > 100000'),
        ("population", "<", " -1.5e3 ", '"population" < -1.5e3'),
        ("population", ">", "many", "\"population\" > 'many'"),
        ("population", ">", "1) OR (1=1", "\"population\" > '1) OR (1=1'"),
        ("name", "<>", "O'Hara", "\"name\" <> 'O''Hara'"),
        ("name", "LIKE", "A%", "\"name\" LIKE 'A%'"),
        ("capital", "<>", "True", '"capital" <> TRUE'),
        ("founded", ">=", "1809-01-01", "\"founded\" >= DATE('1809-01-01')"),
        ("seen", "<", "2024-01-01T00:00:00Z", "\"seen\" < TIMESTAMP('2024-01-01T00:00:00Z')"),
        ("name", "IS NULL", "ignored", '"name" IS NULL'),
        ("limit", "=", "5", '"limit" = 5'),
        ('x" OR 1=1 --', "<", "1", '"x"" OR 1=1 --" < \'1\''),
        ("name", "; DROP", "x", None),
    ],
)
def test_other_comparisons_become_cql2(
    name: str, operator: str, value: str, text: str | None
) -> None:
    found = read_form(condition(0, name, operator, value), CITIES)
    assert found == ({"filter": text} if text is not None else {"name": "x"})


def test_comparisons_are_added_to_the_filter_that_is_there() -> None:
    fields = {
        "filter": "a = 1 OR b = 2",
        **condition(0, "name", "=", "x"),
        **condition(1, "name", "=", "y"),
    }
    assert read_form(fields, CITIES) == {
        "filter": "(a = 1 OR b = 2) AND \"name\" = 'y'",
        "name": "x",
    }


def test_ticked_columns_become_properties_unless_all_or_none_are() -> None:
    ticks = {f"form.column.{number}": each.name for number, each in enumerate(CITIES.columns)}
    assert read_form(ticks, CITIES) == {}
    assert read_form({"form.column.1": "name", "form.column.8": "a,b"}, CITIES) == {
        "properties": 'name,"a,b"'
    }
    assert read_form({**condition(0, "", "=")}, CITIES) == {}


def test_a_new_query_begins_with_its_first_page() -> None:
    assert read_form(
        {"form.south": "", "cursor": "abc", "offset": "10", "precision": "3"}, CITIES
    ) == {"precision": "3"}


def test_parameters_fill_the_form() -> None:
    values = {
        "bbox": "5,45,12,52",
        "name": "x",
        "limit": "7",
        "properties": 'name,"a,b"',
        "precision": "3",
        "f": "html",
    }
    filled = fill_form(values, CITIES, 10)
    assert filled.corners == ("5", "45", "12", "52")
    assert [(each.number, each.property, each.value) for each in filled.conditions] == [
        (0, "name", "x"),
        (1, "", ""),
    ]
    assert filled.limit == "7"
    assert [name for name, shown in filled.columns if shown] == ["name", "a,b"]
    assert filled.hidden == [("precision", "3"), ("f", "html")]
    assert "limit" in filled.choices
    assert "tags" not in filled.choices


def test_a_box_of_six_numbers_fills_the_four_corners() -> None:
    assert fill_form({"bbox": "1,2,3,4,5,6"}, CITIES, 10).corners == ("1", "2", "4", "5")


def test_wrong_parameters_fill_the_form_as_well() -> None:
    filled = fill_form(
        {"bbox": "1", "properties": '"open', "nosuch": "1", "limit": "many"}, CITIES, 10
    )
    assert filled.corners == ("1", "", "", "")
    assert filled.limit == "many"
    assert filled.hidden == []


def test_arguments_of_a_function_have_fields() -> None:
    near = collection(
        column("name"), kind=RelationKind.FUNCTION, parameters=(parameter("lon", "float8"),)
    )
    assert [(each.name, value) for each, value in fill_form({"lon": "24"}, near, 10).arguments] == [
        ("lon", "24")
    ]
    assert read_form({"form.west": "", "lon": "24"}, near) == {"lon": "24"}


def test_of_many_columns_the_names_are_typed() -> None:
    wide = collection(*(column(f"c{number}") for number in range(form.MAX_CHOICES + 1)))
    filled = fill_form({"properties": "c1"}, wide, 10)
    assert not filled.columns
    assert filled.properties == "c1"
    assert read_form({"form.west": "", "properties": "c1"}, wide) == {"properties": "c1"}


def sent(filled: Form) -> dict[str, str]:
    """What a browser sends of a form, untouched."""
    fields = {f"form.{corner}": text for corner, text in zip(CORNERS, filled.corners, strict=True)}
    for each in filled.conditions:
        fields |= condition(each.number, each.property, each.operator, each.value)
    fields |= {
        f"form.column.{number}": name
        for number, (name, shown) in enumerate(filled.columns)
        if shown
    }
    fields |= {"datetime": filled.datetime, "sortby": filled.sortby, "limit": filled.limit}
    return {**fields, **dict(filled.hidden)}


_TEXT = st.text(max_size=8)
_VALUES = st.fixed_dictionaries(
    {"limit": st.integers(1, 200).map(str)},
    optional={
        "name": _TEXT,
        "population": _TEXT,
        "bbox": st.just("5,45,12,52"),
        "sortby": st.just("-name,population"),
        "datetime": st.just("2024-01-01/.."),
        "precision": st.just("3"),
        "properties": st.sampled_from(["name", "name,population", "population"]),
    },
)


@given(_VALUES)
def test_a_form_that_nobody_touched_asks_for_the_same(values: dict[str, str]) -> None:
    places = collection(
        column("name"), column("population", "int8"), column("more"), temporal=("more",)
    )
    assert read_form(sent(fill_form(values, places, 10)), places) == values


def test_the_address_that_is_left_is_one_that_programs_can_ask_for() -> None:
    places = collection(column("name"), column("population", "int8"))
    fields = {
        "form.west": "5",
        "form.south": "45",
        "form.east": "12",
        "form.north": "52",
        "sortby": "-name",
        "limit": "3",
    }
    wanted = parse_items_query(
        read_form({**fields, **condition(0, "name", "=", "x")}, places), places, RULES
    )
    assert wanted.equals == (("name", "x"),)
    assert wanted.limit == 3
    assert wanted.bbox is not None
