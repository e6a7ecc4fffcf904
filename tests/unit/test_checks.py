"""CHECK constraints as `pg_get_expr` writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.catalog.check_constraints import parse_check, required_column
from geosvc.model.value_bounds import UNBOUNDED, ValueBounds, bounds_of_type_modifier


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("(x > 0)", {"x": ValueBounds(above=0)}),
        ("(0 < x)", {"x": ValueBounds(above=0)}),
        ("((x >= 0) AND (x <= 10))", {"x": ValueBounds(minimum=0, maximum=10)}),
        ("((x >= '-90'::integer) AND (x <= 90))", {"x": ValueBounds(minimum=-90, maximum=90)}),
        (
            "((b >= ('-90'::integer)::double precision) AND (b <= (90)::double precision))",
            {"b": ValueBounds(minimum=-90, maximum=90)},
        ),
        ("(x > (0)::numeric)", {"x": ValueBounds(above=0)}),
        ("((x)::numeric > 0.5)", {"x": ValueBounds(above=0.5)}),
        ("(x < '10000000000'::double precision)", {"x": ValueBounds(below=10**10)}),
        ("(x = 5)", {"x": ValueBounds(one_of=(5,))}),
        ("(x = ANY (ARRAY[1, 2, 2]))", {"x": ValueBounds(one_of=(1, 2))}),
        ("(c = ANY (ARRAY['x'::text, 'y''z'::text]))", {"c": ValueBounds(one_of=("x", "y'z"))}),
        (
            "((c)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
            {"c": ValueBounds(one_of=("a", "b"))},
        ),
        ("((d)::text <> ''::text)", {"d": ValueBounds(min_length=1)}),
        (
            "((length(i) <= 5) AND (char_length((i)::text) > 1))",
            {"i": ValueBounds(min_length=2, max_length=5)},
        ),
        ("(length(i) = 2)", {"i": ValueBounds(min_length=2, max_length=2)}),
        ('("Q"" x" > 3)', {'Q" x': ValueBounds(above=3)}),
        ('("größe" > 3)', {"größe": ValueBounds(above=3)}),
        ("(VALUE >= 0)", {"VALUE": ValueBounds(minimum=0)}),
        (
            "((a < 10) AND (b < 20) AND (a < 5))",
            {"a": ValueBounds(below=5), "b": ValueBounds(below=20)},
        ),
        ("((x > 0) AND (x <> 5))", {"x": ValueBounds(above=0)}),
    ],
)
def test_what_is_plain_is_translated(expression: str, wanted: dict[str, ValueBounds]) -> None:
    assert parse_check(expression) == wanted


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "(",
        "flag",
        "(a < b)",
        "((x > 0) OR (x < '-5'::integer))",
        "((x IS NULL) OR (x > 4))",
        "(NOT (x > 0))",
        "(c ~ '^[A-Z]+$'::text)",
        "(day > '2020-01-01'::date)",
        "(seen < now())",
        "((x)::integer > 5)",
        "((x + 1) > 5)",
        "(char_length(btrim(c)) > 0)",
        "(length(c) > x)",
        "(x = ANY (ARRAY[y, 2]))",
        "(x <> ALL (ARRAY[1, 2]))",
        "(x < 'NaN'::numeric)",
        "(x < '1e999'::numeric)",
        "(c = E'a\\\\b'::text)",
        "(c = 'a'::mood)",
        "(1 < 2)",
        "((ARRAY[1, 2]) = x)",
        "(" * 100 + "x > 0" + ")" * 100,
    ],
)
def test_what_is_not_plain_is_left_out(expression: str) -> None:
    assert parse_check(expression) == {}


@given(st.text(alphabet="x0159.'\"()[]<>=:, ANDYRTVLUEinteg-", max_size=60))
def test_no_text_is_too_odd(expression: str) -> None:
    parse_check(expression)


_NUMBERS = st.none() | st.integers(-20, 20)
_BOUNDS = st.builds(
    ValueBounds,
    _NUMBERS,
    _NUMBERS,
    _NUMBERS,
    _NUMBERS,
    one_of=st.none() | st.lists(st.integers(-20, 20), unique=True).map(tuple),
    whole=st.booleans(),
)


def allows(bounds: ValueBounds, value: int) -> bool:
    return (
        (bounds.minimum is None or value >= bounds.minimum)
        and (bounds.maximum is None or value <= bounds.maximum)
        and (bounds.above is None or value > bounds.above)
        and (bounds.below is None or value < bounds.below)
        and (bounds.one_of is None or value in bounds.one_of)
    )


@given(_BOUNDS, _BOUNDS, st.integers(-25, 25))
def test_both_bounds_allow_what_each_allows(
    one: ValueBounds, other: ValueBounds, value: int
) -> None:
    assert allows(one & other, value) == (allows(one, value) and allows(other, value))


def numeric(precision: int, scale: int) -> int:
    """As numerictypmodin makes it, since PostgreSQL 15."""
    return ((precision << 16) | (scale & 0x7FF)) + 4


@pytest.mark.parametrize(
    ("type_name", "modifier", "wanted"),
    [
        ("varchar", 14, ValueBounds(max_length=10)),
        ("bpchar", 5, ValueBounds(max_length=1)),
        ("varchar", -1, UNBOUNDED),
        ("numeric", -1, UNBOUNDED),
        ("timestamptz", 3, UNBOUNDED),
        (
            "numeric",
            numeric(12, 0),
            ValueBounds(minimum=-(10**12) + 1, maximum=10**12 - 1, whole=True),
        ),
        ("numeric", numeric(3, -2), ValueBounds(minimum=-99_900, maximum=99_900, whole=True)),
        ("numeric", numeric(6, 2), ValueBounds(above=-10_000, below=10_000)),
        ("numeric", numeric(2, 4), ValueBounds(above=-0.01, below=0.01)),
        ("numeric", numeric(40, 0), ValueBounds(above=-1e40, below=1e40, whole=True)),
        ("numeric", numeric(1000, 0), ValueBounds(whole=True)),
    ],
)
def test_modifiers_tell_lengths_and_digits(
    type_name: str, modifier: int, wanted: ValueBounds
) -> None:
    assert bounds_of_type_modifier(type_name, modifier) == wanted


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("(geom IS NOT NULL)", "geom"),
        ('("Geo m" IS NOT NULL)', "Geo m"),
        ('("a""b" IS NOT NULL)', 'a"b'),
        ("(geom IS NULL)", None),
        ("((geom IS NOT NULL) OR (id < 0))", None),
        ("(NOT (geom IS NOT NULL))", None),
        ("(f(geom) IS NOT NULL)", None),
    ],
)
def test_a_column_that_must_have_a_value_is_found(expression: str, wanted: str | None) -> None:
    assert required_column(expression) == wanted
