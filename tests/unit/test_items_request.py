"""The parameters of items, export and one item."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.errors import InvalidParameter, RequestError, UnknownParameter
from geosvc.model.bbox import Bbox
from geosvc.requests.cursor import Cursor, encode_cursor
from geosvc.requests.declared import DECLARED, ITEM_DECLARED
from geosvc.requests.items import (
    GeometryStyle,
    ItemsQuery,
    PageLimits,
    ReadingRules,
    SortKey,
    parse_item_query,
    parse_items_query,
)
from geosvc.requests.parameter_values import parse_integer, refuse_unknown
from tests.unit.samples import collection, column, parameter

PLACES = collection(
    column("id", "int4", not_null=True),
    column("name"),
    column("colour", "colour", enum=("green", "blue")),
    column("made", "timestamptz"),
    column("tags", "jsonb"),
    column("kind", "regclass"),
    column('odd, "name"'),
    column("-5"),
    key=("id",),
)
NEAREST = collection(
    column("id", "int4"),
    column("name"),
    parameters=(parameter("lon", "float8"), parameter("many", "int4", required=False)),
    name="nearest",
)
LIMITS = PageLimits(default=10, maximum=100)
RULES = ReadingRules(LIMITS)


def items(**values: str) -> ItemsQuery:
    return parse_items_query(values, PLACES, RULES)


def test_without_parameters_there_is_a_first_page_of_everything() -> None:
    assert items() == ItemsQuery(limit=10)
    assert items(f="csv") == ItemsQuery(limit=10)


def test_every_parameter_becomes_a_field() -> None:
    cursor = Cursor("q", ("1",))
    request = items(
        **{"zoom-level": "3"},
        bbox="1,2,3,4",
        datetime="2026-11-21T00:00:00Z",
        limit="7",
        cursor=encode_cursor(cursor),
        sortby="-name,+made",
        properties="name,id",
        skipGeometry="true",
        precision="5",
        count="exact",
        bigint="string",
        name="x y",
        colour="blue",
        f="geojson",
    )
    assert request.bbox == Bbox(1, 2, 3, 4)
    assert request.interval is not None
    assert request.interval.start == request.interval.end
    assert (request.limit, request.offset, request.cursor) == (7, 0, cursor)
    assert request.sortby == (SortKey("name", True), SortKey("made", False))
    assert items(sortby="-name,made,name").sortby == request.sortby
    assert request.properties == ("id", "name")
    assert request.geometry == GeometryStyle(skip=True, precision=5, zoom_level=3)
    assert (request.count, request.bigint_as_text) == ("exact", True)
    assert request.equals == (("name", "x y"), ("colour", "blue"))
    assert request.arguments == ()


@pytest.mark.parametrize(
    ("text", "limit"), [("1", 1), ("100", 100), ("101", 100), ("9" * 18, 100), ("007", 7)]
)
def test_a_limit_above_the_maximum_gives_the_maximum(text: str, limit: int) -> None:
    assert items(limit=text).limit == limit


@pytest.mark.parametrize("name", ["limit", "offset", "precision", "zoom-level"])
@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.0", "1e1", "x", " 1", "1 ", "1_0", "٣", "²", "9" * 31, "9" * 5_000]
)
def test_a_number_that_is_none_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(InvalidParameter, match=f"{name} takes a whole number") as caught:
        items(**{name: text})
    assert caught.value.parameter == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("limit", "0"),
        ("offset", str(1 << 63)),
        ("limit", str(1 << 63)),
        ("precision", "16"),
        ("zoom-level", "31"),
        ("simplify", "x"),
        ("simplify", ""),
        ("simplify", "-0.1"),
        ("simplify", "nan"),
        ("simplify", "inf"),
        ("simplify", "1e400"),
        ("skipGeometry", "True"),
        ("skipGeometry", ""),
        ("count", "all"),
        ("bigint", "text"),
        ("bbox", ""),
        ("datetime", ""),
        ("cursor", ""),
        ("sortby", "nothing"),
        ("sortby", "name,"),
        ("sortby", ",name"),
        ("sortby", "tags"),
        ("sortby", "kind"),
        ("sortby", "Name"),
        ("sortby", "geom"),
        ("properties", "nothing"),
        ("properties", ",name"),
        ("properties", '"name'),
        ("properties", '"name""'),
        ("properties", "geom"),
        ("id", "x"),
        ("id", "2147483648"),
        ("colour", "red"),
        ("made", "yesterday"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        items(**{name: text})
    assert caught.value.parameter == name
    assert name in caught.value.detail


@pytest.mark.parametrize("text", ["1_0", "١"])
def test_a_tolerance_is_written_in_ascii_without_underscores(text: str) -> None:
    with pytest.raises(InvalidParameter, match="simplify"):
        items(simplify=text)


@pytest.mark.parametrize(
    "name", ["", "Limit", "nothing", "geom", "tags", "kind", "lon", "id'; DROP TABLE x --"]
)
def test_an_unknown_parameter_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownParameter) as caught:
        items(**{name: "1"})
    assert caught.value.parameter == name


def test_offset_and_cursor_exclude_each_other() -> None:
    with pytest.raises(InvalidParameter, match="exclude"):
        items(offset="1", cursor=encode_cursor(Cursor("q")))


def test_simplify_and_zoom_level_exclude_each_other() -> None:
    with pytest.raises(InvalidParameter, match="exclude"):
        items(**{"simplify": "1", "zoom-level": "1"})


@pytest.mark.parametrize(
    ("text", "tolerance"), [("0", None), ("0.0", None), ("2.5", 2.5), ("1e-3", 0.001)]
)
def test_a_tolerance_of_zero_is_none(text: str, tolerance: float | None) -> None:
    assert items(simplify=text).geometry.tolerance == tolerance


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", ()),
        ("name", (SortKey("name", False),)),
        ("+name", (SortKey("name", False),)),
        (" name", (SortKey("name", False),)),
        ("-name,id", (SortKey("name", True), SortKey("id", False))),
        ("--5", (SortKey("-5", True),)),
    ],
)
def test_a_sort_key_has_its_direction_before_it(text: str, keys: tuple[SortKey, ...]) -> None:
    assert items(sortby=text).sortby == keys


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("id", ("id",)),
        ("name,id", ("id", "name")),
        ("id,id", ("id",)),
        ('"id",name', ("id", "name")),
        ('"odd, ""name""",id', ("id", 'odd, "name"')),
    ],
)
def test_properties_are_wanted_once_each_in_the_order_of_the_table(
    text: str, names: tuple[str, ...]
) -> None:
    assert items(properties=text).properties == names


@pytest.mark.parametrize(
    ("name", "text"), [("limit", "1"), ("offset", "0"), ("cursor", "x"), ("count", "none")]
)
def test_an_export_has_no_pages(name: str, text: str) -> None:
    with pytest.raises(UnknownParameter, match="no pages") as caught:
        parse_items_query({name: text}, PLACES)
    assert caught.value.parameter == name


def test_an_export_has_no_limit_but_filters() -> None:
    assert parse_items_query({"name": "x"}, PLACES) == ItemsQuery(
        limit=None, equals=(("name", "x"),)
    )


def test_the_arguments_of_a_function_come_in_its_order_and_are_no_filters() -> None:
    request = parse_items_query({"many": "3", "name": "x", "lon": "1.5"}, NEAREST, RULES)
    assert request.arguments == (("lon", "1.5"), ("many", "3"))
    assert request.equals == (("name", "x"),)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "lon"),
        ({"many": "1"}, "lon"),
        ({"lon": "x"}, "lon"),
        ({"lon": "1", "many": "1.5"}, "many"),
    ],
)
def test_an_argument_that_is_missing_or_wrong_is_named(values: dict[str, str], name: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_items_query(values, NEAREST, RULES)
    assert caught.value.parameter == name


def test_one_item_is_asked_for_with_what_shapes_it() -> None:
    request = parse_item_query(
        {"properties": "name", "precision": "2", "bigint": "string", "f": "json"}, PLACES
    )
    assert request == ItemsQuery(
        limit=1, properties=("name",), geometry=GeometryStyle(precision=2), bigint_as_text=True
    )


@pytest.mark.parametrize("name", ["limit", "bbox", "name", "sortby", "cursor", "count", "x"])
def test_one_item_is_not_filtered_or_paged(name: str) -> None:
    with pytest.raises(UnknownParameter) as caught:
        parse_item_query({name: "1"}, PLACES)
    assert caught.value.parameter == name


def test_a_document_knows_f_alone() -> None:
    refuse_unknown({"f": "json"})
    with pytest.raises(UnknownParameter, match="'g'"):
        refuse_unknown({"f": "json", "g": "1"})


@pytest.mark.parametrize("declared", DECLARED, ids=lambda each: each.name)
def test_every_declared_parameter_is_known_and_every_bound_is_kept(declared: object) -> None:
    each = next(known for known in DECLARED if known is declared)
    try:
        items(**{each.name: "\x01"})
    except UnknownParameter:
        pytest.fail(f"{each.name} is declared and not known")
    except InvalidParameter as error:
        assert error.parameter == each.name
    else:
        assert each.name == "f"
    for bound, beyond in (("minimum", -1), ("maximum", 1)):
        if bound in each.schema:
            items(**{each.name: str(each.schema[bound])})
            with pytest.raises(InvalidParameter):
                items(**{each.name: str(each.schema[bound] + beyond)})
    for choice in each.schema.get("enum", ()):
        items(**{each.name: choice})


def test_every_declared_default_is_the_default() -> None:
    request = items(filter="TRUE")
    found = {
        "skipGeometry": request.geometry.skip,
        "count": request.count,
        "bigint": "string" if request.bigint_as_text else "number",
        "filter-lang": request.filter.language if request.filter is not None else None,
    }
    declared = {each.name: each.schema["default"] for each in DECLARED if "default" in each.schema}
    assert declared == found


def test_what_is_declared_for_one_item_is_what_one_item_knows() -> None:
    for each in DECLARED:
        if each in ITEM_DECLARED:
            try:
                parse_item_query({each.name: "\x01"}, PLACES)
            except InvalidParameter as error:
                assert error.parameter == each.name
        else:
            with pytest.raises(UnknownParameter):
                parse_item_query({each.name: "1"}, PLACES)


@given(st.integers())
def test_a_whole_number_is_taken_within_its_bounds(number: int) -> None:
    if -1 < number <= 500:
        assert parse_integer("n", str(number), 0, 500) == number
    else:
        with pytest.raises(InvalidParameter, match="n takes a whole number from 0 to 500"):
            parse_integer("n", str(number), 0, 500)


@given(
    st.dictionaries(
        st.sampled_from([*(each.name for each in DECLARED), "id", "name", "colour", "made", "tags"])
        | st.text(max_size=5),
        st.text(max_size=20) | st.sampled_from(["1", "true", "name", "1,2,3,4", "2026-11-21"]),
        max_size=5,
    )
)
def test_no_request_does_anything_but_parse_or_be_refused_by_name(values: dict[str, str]) -> None:
    try:
        request = parse_items_query(values, PLACES, RULES)
    except RequestError as error:
        assert error.status == 400
        assert error.parameter in values
    else:
        assert request.limit is not None
        assert 1 <= request.limit <= LIMITS.maximum
