"""Both parsers of CQL2: what they read, what they refuse and where."""

import gc
import random
import string
import time
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosvc.cql2.caps import Caps
from geosvc.cql2.json import parse_json
from geosvc.cql2.names import ARRAY, SPATIAL, TEMPORAL
from geosvc.cql2.text import parse_text
from geosvc.cql2.tree import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Array,
    ArrayPredicate,
    Between,
    Boolean,
    Comparison,
    ComparisonOperator,
    Condition,
    Date,
    Folded,
    Function,
    In,
    IntervalLiteral,
    IsNull,
    Like,
    Not,
    Number,
    Or,
    Property,
    Spatial,
    Temporal,
    Text,
    Timestamp,
)
from geosvc.errors import InvalidFilter
from tests.cql2_noise import SEEDS, read_all
from tests.cql2_writing import CAPS, KeptGeometries, to_json, to_text

A, B, C = Property("a"), Property("b"), Property("c")
ONE, TWO, THREE = (Number(Decimal(each)) for each in (1, 2, 3))
KEPT = KeptGeometries()


def text(filter_text: str, caps: Caps = CAPS) -> Condition:
    return parse_text(filter_text, caps, KEPT)


def json(value: Any, caps: Caps = CAPS) -> Condition:
    return parse_json(value if isinstance(value, bytes) else orjson.dumps(value), caps, KEPT)


@pytest.mark.parametrize(
    ("written", "tree"),
    [
        ("a = 1", Comparison("=", A, ONE)),
        ("1 <> a", Comparison("<>", ONE, A)),
        ('"a" >= 1', Comparison(">=", A, ONE)),
        ('"a ""b""" = 1', Comparison("=", Property('a "b"'), ONE)),
        ("eo:cloud.cover=1", Comparison("=", Property("eo:cloud.cover"), ONE)),
        ("größe=1", Comparison("=", Property("größe"), ONE)),
        ("a = 'it''s'", Comparison("=", A, Text("it's"))),
        (r"a = 'it\'s'", Comparison("=", A, Text("it's"))),
        (r"a LIKE '50\%'", Like(A, Text(r"50\%"))),
        ("a = ''", Comparison("=", A, Text(""))),
        (
            "a = 1 OR b = 2 AND c = 3",
            Or(
                (Comparison("=", A, ONE), And((Comparison("=", B, TWO), Comparison("=", C, THREE))))
            ),
        ),
        (
            "(a = 1 OR b = 2) AND c = 3",
            And(
                (Or((Comparison("=", A, ONE), Comparison("=", B, TWO))), Comparison("=", C, THREE))
            ),
        ),
        ("NOT a = 1 AND b = 2", And((Not(Comparison("=", A, ONE)), Comparison("=", B, TWO)))),
        ("not not a = 1", Not(Not(Comparison("=", A, ONE)))),
        ("a not like 'x%'", Not(Like(A, Text("x%")))),
        (
            "a NOT BETWEEN 1 AND 2 AND b = 2",
            And((Not(Between(A, ONE, TWO)), Comparison("=", B, TWO))),
        ),
        ("a NOT IN (1, 2)", Not(In(A, (ONE, TWO)))),
        ("a IS NULL", IsNull(A)),
        ("a IS NOT NULL", Not(IsNull(A))),
        ("a + 1 * 2 = 3", Comparison("=", Arithmetic("+", A, Arithmetic("*", ONE, TWO)), THREE)),
        ("(a + 1) * 2 = 3", Comparison("=", Arithmetic("*", Arithmetic("+", A, ONE), TWO), THREE)),
        ("a - 1 - 2 = 3", Comparison("=", Arithmetic("-", Arithmetic("-", A, ONE), TWO), THREE)),
        (
            "a div 2 % 3 = 1",
            Comparison("=", Arithmetic("%", Arithmetic("div", A, TWO), THREE), ONE),
        ),
        ("a = -1", Comparison("=", A, Number(Decimal(-1)))),
        ("a = 1-2", Comparison("=", A, Arithmetic("-", ONE, TWO))),
        ("-a = 1", Comparison("=", Arithmetic("*", Number(Decimal(-1)), A), ONE)),
        ("2*3^2 = a", Comparison("=", Arithmetic("*", TWO, Arithmetic("^", THREE, TWO)), A)),
        ("a = 1.5e3", Comparison("=", A, Number(Decimal("1.5e3")))),
        ("a = .5", Comparison("=", A, Number(Decimal("0.5")))),
        ("a = true", Comparison("=", A, Boolean(True))),
        ("TRUE", Boolean(True)),
        ("a", A),
        ("date = DATE('2026-11-21')", Comparison("=", Property("date"), Date(date(2026, 11, 21)))),
        ("A_CONTAINS(a, ('x', 1))", ArrayPredicate("contains", A, Array((Text("x"), ONE)))),
        (
            "A_EQUALS((1), (1 + 2))",
            ArrayPredicate("equals", Array((ONE,)), Array((Arithmetic("+", ONE, TWO),))),
        ),
        (
            "A_EQUALS((1, (2, 3), ()), a)",
            ArrayPredicate("equals", Array((ONE, Array((TWO, THREE)), Array(()))), A),
        ),
        (
            "A_OVERLAPS(a, ((1 + 2) * 3))",
            ArrayPredicate(
                "overlaps", A, Array((Arithmetic("*", Arithmetic("+", ONE, TWO), THREE),))
            ),
        ),
        ("A_EQUALS(a, ())", ArrayPredicate("equals", A, Array(()))),
        (
            "T_AFTER(a, INTERVAL('2026-11-21', '..'))",
            Temporal("after", A, IntervalLiteral(Date(date(2026, 11, 21)), None)),
        ),
        ("T_DURING(INTERVAL(b, c), a)", Temporal("during", IntervalLiteral(B, C), A)),
        ("CASEI(a) = casei('x')", Comparison("=", Folded("casei", A), Folded("casei", Text("x")))),
        ("a LIKE ACCENTI(CASEI('x%'))", Like(A, Folded("accenti", Folded("casei", Text("x%"))))),
        ("f(a, 1)", Function("f", (A, ONE))),
        ("f() = 1", Comparison("=", Function("f", ()), ONE)),
        ("point = 1", Comparison("=", Property("point"), ONE)),
    ],
)
def test_text_is_read_as_the_standard_has_it(written: str, tree: Condition) -> None:
    assert text(written) == tree
    assert json(to_json(tree)) == tree


@pytest.mark.parametrize(
    ("written", "geojson"),
    [
        ("POINT(1 -2)", {"type": "Point", "coordinates": [1.0, -2.0]}),
        ("POINT Z (1 2 3)", {"type": "Point", "coordinates": [1.0, 2.0, 3.0]}),
        (
            "LINESTRING(0 0, 1e1 1)",
            {"type": "LineString", "coordinates": [[0.0, 0.0], [10.0, 1.0]]},
        ),
        (
            "POLYGON((0 0,1 0,1 1,0 0))",
            {"type": "Polygon", "coordinates": [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]]},
        ),
        (
            "MULTIPOINT((1 2),(3 4))",
            {"type": "MultiPoint", "coordinates": [[1.0, 2.0], [3.0, 4.0]]},
        ),
        ("MULTIPOINT(1 2, 3 4)", {"type": "MultiPoint", "coordinates": [[1.0, 2.0], [3.0, 4.0]]}),
        (
            "MULTILINESTRING((0 0,1 1))",
            {"type": "MultiLineString", "coordinates": [[[0.0, 0.0], [1.0, 1.0]]]},
        ),
        (
            "GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0,1 1))",
            {
                "type": "GeometryCollection",
                "geometries": [
                    {"type": "Point", "coordinates": [1.0, 2.0]},
                    {"type": "LineString", "coordinates": [[0.0, 0.0], [1.0, 1.0]]},
                ],
            },
        ),
    ],
)
def test_geometries_in_text_are_those_of_geojson(written: str, geojson: dict[str, Any]) -> None:
    expected = Spatial("intersects", A, KEPT.geometry(orjson.dumps(geojson), 1))
    assert text(f"S_INTERSECTS(a, {written})") == expected
    assert json({"op": "s_intersects", "args": [{"property": "a"}, geojson]}) == expected


@pytest.mark.parametrize(
    ("written", "position", "said"),
    [
        ("", 1, "was expected, not the end"),
        ("a =", 4, "was expected, not the end"),
        ("a b", 3, "AND, OR or the end was expected"),
        ("a = 'x", 5, "a closing ' is missing"),
        ('"a = 1', 1, 'a closing " is missing'),
        ("(a = 1", 7, "')' was expected"),
        ("a = 1)", 6, "AND, OR or the end was expected"),
        ("a IN ()", 7, "was expected, not ')'"),
        ("a LIKE b", 8, "a pattern in single quotes was expected"),
        ("a = $1", 5, "'$' means nothing here"),
        ("a = 1; DROP TABLE x", 6, "';' means nothing here"),
        ("a == 1", 3, "CQL2 writes ="),
        ("a AND", 6, "was expected, not the end"),
        ("1", 1, "a condition was expected"),
        ("'x' AND a = 1", 1, "a condition was expected"),
        ("POINT(1 2)", 1, "a condition was expected"),
        ("(a = 1) + 1 = 2", 2, "a single value was expected"),
        ("DATE('2026-02-30') = a", 6, "no day of the calendar"),
        ("DATE('yesterday') = a", 6, "a date was expected"),
        ("TIMESTAMP('2026-11-21T12:00:00') = a", 11, "a timestamp in UTC was expected"),
        ("T_AFTER(a)", 1, "takes two arguments"),
        ("S_INTERSECTS(a, POINT(1))", 24, "a number was expected"),
        ("S_INTERSECTS(a, POLYGON(0 0, 1 1))", 25, "'(' was expected"),
        ("a = 1e999", 5, "out of range"),
        ("NULL = a", 1, "CQL2 writes IS NULL"),
        ("a BETWEEN 1 OR 2", 13, "AND was expected"),
        ("(a = 1) IS NULL", 2, "a value was expected"),
    ],
)
def test_what_is_wrong_with_text_is_told_with_its_place(
    written: str, position: int, said: str
) -> None:
    with pytest.raises(InvalidFilter) as caught:
        text(written)
    assert said in caught.value.detail
    assert caught.value.position == position
    assert f"at character {position}: " in caught.value.detail


@pytest.mark.parametrize(
    ("value", "pointer", "said"),
    [
        (b"", "", "no JSON"),
        (b"{", "", "no JSON"),
        (1, "", "a condition was expected"),
        (None, "", "null is no value"),
        ({"op": "="}, "/args", "= takes 2 arguments, not 0"),
        ({"op": "=", "args": [{"property": "a"}, None]}, "/args/1", "null is no value"),
        ({"op": "=", "args": [{"property": 1}, 1]}, "/args/0/property", "a text was expected"),
        ({"op": "and", "args": [True]}, "/args", "and takes two conditions or more"),
        ({"op": "and", "args": [True, 1]}, "/args/1", "a condition was expected"),
        ({"op": 1}, "/op", "the name of an operator"),
        ({"op": "in", "args": [{"property": "a"}, []]}, "/args/1", "an array of one value or more"),
        ({"op": "in", "args": [{"property": "a"}, 1]}, "/args/1", "an array of one value or more"),
        (
            {"op": "like", "args": [{"property": "a"}, {"property": "b"}]},
            "/args/1",
            "a pattern was expected",
        ),
        ({"op": "=", "args": [{"date": "x"}, 1]}, "/args/0/date", "a date was expected"),
        ({"op": "=", "args": [{"what": 1}, 1]}, "/args/0", "an object with op"),
        ({"op": "=", "args": ["\0", 1]}, "/args/0", "NUL"),
        (
            {"op": "t_after", "args": [{"interval": ["2026-01-01"]}, {"property": "a"}]},
            "/args/0/interval",
            "an array of two",
        ),
        (
            {"op": "s_intersects", "args": [{"property": "a"}, {"bbox": ["1", 2, 3, 4]}]},
            "/args/1/bbox",
            "an array of numbers",
        ),
    ],
)
def test_what_is_wrong_with_json_is_told_with_a_pointer(
    value: Any, pointer: str, said: str
) -> None:
    with pytest.raises(InvalidFilter) as caught:
        json(value)
    assert said in caught.value.detail
    assert caught.value.pointer == pointer


def test_a_filter_within_its_caps_is_read_and_one_beyond_is_refused() -> None:
    caps = Caps(length=1_000, depth=5, nodes=20)
    text("((((a = 1))))", caps)
    for beyond in (
        "((((((a = 1))))))",
        "NOT " * 6 + "a = 1",
        "a IN (" + "1," * 30 + "1)",
        "a = " + "-" * 6 + "1",
        "a = 1" + " " * 1_000,
    ):
        with pytest.raises(InvalidFilter):
            text(beyond, caps)
    nested: Any = True
    for _ in range(6):
        nested = {"op": "not", "args": [nested]}
    for value in (nested, {"op": "in", "args": [{"property": "a"}, list(range(30))]}):
        with pytest.raises(InvalidFilter):
            json(value, caps)


@pytest.mark.parametrize(
    "bomb",
    [
        "(" * 8_000,
        "NOT " * 2_000 + "a=1",
        "a=" + "-" * 8_000 + "1",
        "a=1" + " AND a=1" * 1_000,
        "a IN (" + ",".join("1" * 2_700) + ")",
        "a LIKE '" + "%a" * 4_000 + "'",
        "a = '" + "''" * 4_000 + "'",
        "a = '" + "\\" * 8_000 + "'",
        "'" * 8_000,
        '"' * 8_001,
        "a=" + "9" * 8_000,
        "a=" + "2^" * 4_000 + "2",
        "f(" * 2_000 + ")" * 2_000,
        "S_INTERSECTS(a,POLYGON(" + "(" * 8_000,
        "S_INTERSECTS(a," + "GEOMETRYCOLLECTION(" * 400 + ")" * 400,
        "S_INTERSECTS(a,MULTIPOINT(" + ",".join(["0 0"] * 2_000) + "))",
        "CASEI(" * 1_300 + "a" + ")" * 1_300 + "=1",
    ],
)
def test_eight_kilobytes_of_anything_cost_little(bomb: str) -> None:
    gc.freeze()  # to look through what other tests have left is not its cost
    before = time.process_time()
    with suppress(InvalidFilter):
        text(bomb[:8_192])
    spent = time.process_time() - before
    gc.unfreeze()
    assert spent < 1.0


def test_deep_json_is_refused() -> None:
    for value in (b"[" * 60_000, b'{"op":"not","args":[' * 3_000 + b"true" + b"]}" * 3_000):
        with pytest.raises(InvalidFilter):
            json(value)


_TAKEN = frozenset(
    [
        "not",
        "isNull",
        "casei",
        "accenti",
        "like",
        "between",
        "in",
        "and",
        "or",
        "div",
        "=",
        "<",
        ">",
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
    ]
)
_names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
_properties = st.builds(Property, _names)
_texts = st.builds(
    Text, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\\"), max_size=10)
)
_numbers = st.builds(
    Number,
    st.integers(-(10**12), 10**12).map(Decimal)
    | st.floats(-1e9, 1e9).map(lambda each: Decimal(repr(each))),
)
_dates = st.builds(Date, st.dates(date(1000, 1, 1)))
_EARLIEST = datetime(1000, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
_timestamps = st.builds(Timestamp, st.datetimes(_EARLIEST, timezones=st.just(UTC)))
_scalars = st.recursive(
    _properties | _texts | _numbers | st.builds(Boolean, st.booleans()) | _dates | _timestamps,
    lambda inner: (
        st.builds(Arithmetic, st.sampled_from(get_args(ArithmeticOperator)), inner, inner)
        | st.builds(Folded, st.sampled_from(["casei", "accenti"]), inner)
        | st.builds(
            Function, _names.filter(lambda name: name not in _TAKEN), st.tuples(inner, inner)
        )
    ),
    max_leaves=4,
)
_edges = st.none() | _dates | _timestamps | _properties
_intervals = st.builds(IntervalLiteral, _edges, _edges)
_positions = st.tuples(st.floats(-180, 180), st.floats(-90, 90)).map(list)
_geometries = st.builds(
    lambda positions: KEPT.geometry(
        orjson.dumps({"type": "LineString", "coordinates": positions}), 1
    ),
    st.lists(_positions, min_size=2, max_size=4),
) | st.builds(
    lambda numbers: KEPT.box(numbers, 1), st.lists(st.floats(-90, 90), min_size=4, max_size=4)
)
_leaves = (
    st.builds(Comparison, st.sampled_from(get_args(ComparisonOperator)), _scalars, _scalars)
    | st.builds(Like, _scalars, _texts | st.builds(Folded, st.just("casei"), _texts))
    | st.builds(Between, _scalars, _scalars, _scalars)
    | st.builds(In, _scalars, st.lists(_scalars, min_size=1, max_size=3).map(tuple))
    | st.builds(IsNull, _properties)
    | st.builds(
        Spatial, st.sampled_from(list(SPATIAL.values())), _properties | _geometries, _geometries
    )
    | st.builds(
        Temporal,
        st.sampled_from(list(TEMPORAL.values())),
        _intervals | _properties,
        _intervals | _dates,
    )
    | st.builds(
        ArrayPredicate,
        st.sampled_from(list(ARRAY.values())),
        _properties,
        st.builds(Array, st.lists(_scalars, max_size=3).map(tuple)),
    )
    | st.builds(Boolean, st.booleans())
)
_conditions = st.recursive(
    _leaves,
    lambda inner: (
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Not, inner)
    ),
    max_leaves=6,
)


@given(_conditions)
@settings(max_examples=300, deadline=None)
def test_whatever_can_be_said_is_read_alike_in_text_and_in_json(tree: Condition) -> None:
    written = to_json(tree)
    assert json(orjson.dumps(written)) == tree
    assert to_json(text(to_text(tree))) == written


_WORDS = (
    *SPATIAL,
    *TEMPORAL,
    *ARRAY,
    *[
        "AND",
        "OR",
        "NOT",
        "LIKE",
        "BETWEEN",
        "IN",
        "IS",
        "NULL",
        "CASEI",
        "ACCENTI",
        "DATE",
        "INTERVAL",
        "TIMESTAMP",
        "POINT",
        "POLYGON",
        "BBOX",
        "TRUE",
        "Z",
        "div",
        "a",
    ],
    *(
        [
            '"b"',
            "'x'",
            "1",
            "-2.5e3",
            "(",
            ")",
            ",",
            "=",
            "<",
            ">",
            "<>",
            "+",
            "*",
            "^",
            "%",
            "/",
            "'2026-11-21'",
            "..",
            ":",
            "\\",
            "'",
            '"',
            "é",
            "́",
            "🌍",
        ]
    ),
    "\t",
)


def test_nothing_but_our_own_error_comes_of_noise() -> None:
    noise = random.Random(20261121)
    read = 0
    for _ in range(20_000):
        words = [noise.choice(_WORDS) for _ in range(noise.randint(1, 12))]
        if noise.random() < 0.2:
            words.append("".join(noise.choices(string.printable, k=4)))
        try:
            text(noise.choice((" ", "")).join(words))
            read += 1
        except InvalidFilter as error:
            assert error.position is not None
    assert read > 0


def test_long_sums_are_as_deep_as_they_are_nested() -> None:
    assert text("a = " + "+".join(["1"] * 40))
    beyond = (
        "a = " + "+".join(["1"] * 42),
        "a = " + "*".join(["1"] * 5_000),
        "a = " + "(" * 30 + "b" + "+1+1)" * 30,
        "CASEI(" * 20 + "a" + ")" * 20 + " = f(" * 1 + "-" * 39 + "a+1+1)",
        "f(" + "+".join(["b"] * 41) + ") = 1",
    )
    for each in beyond:
        with pytest.raises(InvalidFilter, match="nested deeper than 40"):
            text(each)


def test_a_dotless_i_is_no_i() -> None:
    assert text("ıs = 1") == Comparison("=", Property("ıs"), ONE)
    assert text("ın = 1 AND dıv = 2") == And(
        (Comparison("=", Property("ın"), ONE), Comparison("=", Property("dıv"), TWO))
    )


@pytest.mark.parametrize(
    "value",
    [
        b'{"op": "=", "args": [{"property": "a"}, 1e99999999999999999999]}',
        b'{"op": "=", "args": [{"property": "a"}, 1' + b"0" * 400 + b"]}",
        b'{"op": "=", "args": [{"property": "a"}, "\\ud800"]}',
        b'{"op": "s_intersects", "args": [{"property": "a"}, {"type": ["Point"], "coordinates": [0, 0]}]}',
        b'{"op": "s_intersects", "args": [{"property": "a"}, {"type": "Point", "coordinates": [1'
        + b"0" * 30
        + b", 0]}]}",
        b'{"op": "s_intersects", "args": [{"property": "a"}, {"type": "Point", "coordinates": '
        + b"[" * 300
        + b"]" * 300
        + b"}]}",
        b'{"op": "isNull", "args": [{"op": "and", "args": [true, true]}]}',
        b"[" * 900 + b"]" * 900,
        b'{"a":' * 900 + b"1" + b"}" * 900,
    ],
)
def test_json_that_no_parser_likes_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidFilter):
        json(value)


def test_a_filter_as_deep_as_the_settings_allow_is_read() -> None:
    deepest = Caps(depth=60)
    for opening in ("(", "NOT (", "CASEI(", "f(", "f(1, -("):
        levels = 60 // opening.replace("NOT (", "((").replace("-(", "((").count("(")
        written = opening * levels + "a" + ")" * (levels * opening.count("("))
        text(written if opening in ("(", "NOT (") else f"{written} = 1", deepest)
    nested: Any = {"property": "a"}
    for _ in range(59):
        nested = {"op": "not", "args": [nested]}
    assert json(nested, deepest)


def test_nothing_but_our_own_error_comes_of_filters_that_are_nearly_right() -> None:
    assert read_all(SEEDS, 20_000, 20261121) > 500
