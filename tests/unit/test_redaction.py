"""What logs say of values: types and sizes, and nothing of the values themselves."""

from array import array
from collections import deque
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf, nan
from uuid import UUID

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st
from shapely import LineString, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from geosvc.model.crs import Srid
from geosvc.redaction import describe_args, describe_value, scrub, show_args, size_of
from geosvc.sql.compose import SQL, Param, compose

BOX = Polygon([(5, 45), (12, 45), (12, 52), (5, 52), (5, 45)])


@pytest.mark.parametrize(
    ("value", "type_name", "described"),
    [
        (None, None, "NoneType(null)"),
        (None, "text", "text(null)"),
        (None, "geometry", "geometry(null)"),
        (True, None, "bool"),
        (424242, None, "int"),
        (424242, "int8", "int8"),
        (42.4242, "float8", "float8"),
        (nan, None, "float"),
        (Decimal("42.4242"), "numeric", "numeric"),
        (date(2024, 2, 29), None, "date"),
        (datetime(2024, 2, 29, tzinfo=UTC), "timestamptz", "timestamptz"),
        (UUID(int=42), "uuid", "uuid"),
        ({"secret": "value"}, None, "dict"),
        ({"secret", "value"}, None, "set"),
        ("", None, "str(0)"),
        ("secret", None, "str(6)"),
        ("it's ünï\n", "text", "text(9)"),
        (b"", "bytea", "bytea(0 bytes)"),
        (b"secret", None, "bytes(6 bytes)"),
        (b"secret", "bytea", "bytea(6 bytes)"),
        (bytearray(b"secret"), None, "bytearray(6 bytes)"),
        (memoryview(b"secret"), None, "memoryview(6 bytes)"),
        (memoryview(b"secret"), "bytea", "bytea(6 bytes)"),
        ([], None, "list(0)"),
        ([], "bytea[]", "bytea[](0)"),
        ((), None, "tuple(0)"),
        (["secret", "values"], "text[]", "text[](2)"),
        ((1, 2, 3), None, "tuple(3)"),
        ([b"abc", b"", b"secret"], "bytea[]", "bytea[](3, 9 bytes)"),
        ((b"abc",), None, "tuple(1, 3 bytes)"),
        ([b"abc", None], "bytea[]", "bytea[](2)"),
        ([["secret"], []], None, "list(2)"),
        (range(7), None, "range(7)"),
        (deque([1, 2]), None, "deque(2)"),
    ],
)
def test_a_value_is_described_by_its_type_and_its_size(
    value: object, type_name: str | None, described: str
) -> None:
    assert describe_value(value, type_name) == described


@pytest.mark.parametrize(
    ("geometry", "described"),
    [
        (BOX, "geometry(POLYGON, 5 vertices, bbox 5 45 12 52)"),
        (Point(1.23456789, -0.5), "geometry(POINT, 1 vertices, bbox 1.234568 -0.5 1.234568 -0.5)"),
        (
            Point(12_345_678.9, 1e-9),
            "geometry(POINT, 1 vertices, bbox 1.234568e+07 1e-09 1.234568e+07 1e-09)",
        ),
        (Point(1, 2, 3), "geometry(POINT, 1 vertices, bbox 1 2 1 2)"),
        (
            LineString([(0, 0, 7), (1, 2, 8), (3, 1, 9)]),
            "geometry(LINESTRING, 3 vertices, bbox 0 0 3 2)",
        ),
        (MultiPolygon([BOX, BOX]), "geometry(MULTIPOLYGON, 10 vertices, bbox 5 45 12 52)"),
        (
            shapely.GeometryCollection([Point(1, 2), BOX]),
            "geometry(GEOMETRYCOLLECTION, 6 vertices, bbox 1 2 12 52)",
        ),
        (
            shapely.LinearRing([(0, 0), (1, 0), (1, 1)]),
            "geometry(LINEARRING, 4 vertices, bbox 0 0 1 1)",
        ),
        (Point(), "geometry(POINT, 0 vertices)"),
        (Polygon(), "geometry(POLYGON, 0 vertices)"),
        (shapely.GeometryCollection(), "geometry(GEOMETRYCOLLECTION, 0 vertices)"),
        (
            shapely.GeometryCollection([Point(), Polygon()]),
            "geometry(GEOMETRYCOLLECTION, 0 vertices)",
        ),
        (shapely.from_wkt("POINT Z EMPTY"), "geometry(POINT, 0 vertices)"),
        (Point(inf, 2), "geometry(POINT, 1 vertices)"),
        (LineString([(0, 0), (-inf, 2)]), "geometry(LINESTRING, 2 vertices)"),
    ],
)
def test_a_geometry_is_described_by_its_kind_its_vertices_and_its_box(
    geometry: BaseGeometry, described: str
) -> None:
    assert describe_value(geometry) == described
    assert describe_value(geometry, "geometry") == described
    assert describe_args("SELECT $1::geometry", [geometry]) == [described]


def line_of(points: Sequence[tuple[float, float]]) -> BaseGeometry:
    """A line of any numbers. Making it warns of those that are none; describing it must not."""
    with np.errstate(invalid="ignore"):
        return LineString(points)


@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=2, max_size=6))
def test_a_line_of_any_numbers_is_described(points: list[tuple[float, float]]) -> None:
    described = describe_value(line_of(points))
    assert described.startswith(f"geometry(LINESTRING, {len(points)} vertices")
    assert "nan" not in described
    assert "inf" not in described


def test_a_geometry_of_what_is_no_number_has_no_box() -> None:
    assert describe_value(line_of([(nan, nan), (nan, nan)])) == "geometry(LINESTRING, 2 vertices)"
    assert describe_value(line_of([(nan, 1), (nan, 2)])) == "geometry(LINESTRING, 2 vertices)"


@given(
    st.text(min_size=3)
    | st.binary(min_size=3)
    | st.lists(st.text(min_size=3))
    | st.integers(min_value=1000)
    | st.dates()
)
def test_a_description_tells_no_more_than_the_size(value: object) -> None:
    described = describe_value(value, "type")
    if isinstance(value, Sequence):
        assert described in (f"type({len(value)})", f"type({len(value)} bytes)")
    else:
        assert described == "type"


def test_arguments_have_the_types_that_they_are_sent_as() -> None:
    text = 'SELECT a = $2::text, b = ANY ($1::int8[]), c = $4::int8::"public"."od" FROM t LIMIT $3::int8'
    assert describe_args(text, [[1, 2], "secret", 11, 7]) == [
        "int8[](2)",
        "text(6)",
        "int8",
        "int8",
    ]


def test_arguments_without_a_cast_have_their_type_in_python() -> None:
    assert describe_args("SELECT $1, $2, $3", ["secret", 4.5, None]) == [
        "str(6)",
        "float",
        "NoneType(null)",
    ]


def test_arguments_that_the_text_does_not_name_are_described_too() -> None:
    assert describe_args("SELECT 1", ["secret"]) == ["str(6)"]
    assert describe_args("SELECT $1::text, $2::int8", []) == []


def test_the_eleventh_argument_is_not_the_first() -> None:
    text = "SELECT $1::text, $11::int8, " + ", ".join(
        f"${number}::float8" for number in range(2, 11)
    )
    assert describe_args(text, ["secret", *[1.5] * 9, 3]) == ["text(6)", *["float8"] * 9, "int8"]


ENVELOPE = "ST_MakeEnvelope($1::float8, $2::float8, $3::float8, $4::float8, 4326)"


def test_the_edges_of_a_box_are_told() -> None:
    described = describe_args(f"SELECT {ENVELOPE}", [5.0, 45, 12.123456789, -1e9])
    assert described == [
        "float8(xmin 5)",
        "float8(ymin 45)",
        "float8(xmax 12.12346)",
        "float8(ymax -1e+09)",
    ]


def test_an_edge_that_is_no_number_is_only_described() -> None:
    described = describe_args(f"SELECT {ENVELOPE}", [None, "secret", nan, inf])
    assert described == ["float8(null)", "float8(6)", "float8(xmax nan)", "float8(ymax inf)"]


def test_only_the_numbers_of_boxes_are_told() -> None:
    text = f"SELECT $5::float8 FROM t WHERE a && {ENVELOPE} AND ST_MakeEnvelope($6, $7, $8, $9) AND b > $10::float8"
    described = describe_args(text, [1.5, 2.5, 3.5, 4.5, *[42.4242] * 6])
    assert described[:4] == [
        "float8(xmin 1.5)",
        "float8(ymin 2.5)",
        "float8(xmax 3.5)",
        "float8(ymax 4.5)",
    ]
    assert described[4:] == ["float8", "float", "float", "float", "float", "float8"]


def test_the_edges_of_every_box_are_told() -> None:
    second = "ST_MakeEnvelope($6::float8, $2::float8, $7::float8, $4::float8, 4326)"
    described = describe_args(
        f"SELECT $5::text, {ENVELOPE}, {second}", [170, 1, 180, 2, "secret", -180, -170]
    )
    assert described == [
        "float8(xmin 170)", "float8(ymin 1)", "float8(xmax 180)", "float8(ymax 2)", "text(6)", "float8(xmin -180)",
        "float8(xmax -170)",
    ]  # fmt: skip


def test_a_box_as_the_service_composes_it_is_told() -> None:
    corners = SQL(", ").join(Param(corner, "float8") for corner in (5.0, 45.0, 12.0, 52.0))
    statement = compose(
        "x", SQL("SELECT {}, ST_MakeEnvelope({}, 4326)").format(Param("secret", "text"), corners)
    )
    assert describe_args(statement.text, statement.args) == [
        "text(6)", "float8(xmin 5)", "float8(ymin 45)", "float8(xmax 12)", "float8(ymax 52)",
    ]  # fmt: skip


def test_what_is_shown_in_full_is_what_python_writes_and_well_known_text() -> None:
    shown = show_args(["it's", 4.5, None, [1, "a"], b"\x00", Point(1, 2, 3), Srid(4326)])
    assert shown == [
        '"it\'s"',
        "4.5",
        "None",
        "[1, 'a']",
        "b'\\x00'",
        "POINT Z (1 2 3)",
        repr(Srid(4326)),
    ]
    assert show_args([]) == []


@pytest.mark.parametrize("length", [0, 997, 998])
def test_a_short_argument_is_shown_whole(length: int) -> None:
    assert show_args(["x" * length]) == [f"'{'x' * length}'"]


@pytest.mark.parametrize("length", [999, 1_000, 50_000])
def test_a_long_argument_is_cut_and_says_how_long_it_was(length: int) -> None:
    (shown,) = show_args(["x" * length])
    assert shown == f"'{'x' * 999}… ({length + 2} characters)"


def test_a_large_geometry_is_cut() -> None:
    line = LineString([(n, n) for n in range(1_000)])
    (shown,) = show_args([line])
    assert shown == f"{line.wkt[:1_000]}… ({len(line.wkt)} characters)"
    assert shown.startswith("LINESTRING (0 0, 1 1, 2 2,")


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (None, 8),
        (1, 8),
        (1.5, 8),
        ({"a": "b" * 100}, 8),
        ("", 0),
        ("abc", 3),
        (b"abcd", 4),
        (bytearray(5), 5),
        (memoryview(bytes(6)), 6),
        ([], 8),
        ([b"abc", None, "de"], 8 + 3 + 8 + 2),
        ([["abc"], ("de",)], 8 + 8 + 3 + 8 + 2),
        (range(10), 88),
        (BOX, 5 * 32),
        (Point(), 0),
    ],
)
def test_a_value_has_about_so_many_bytes(value: object, size: int) -> None:
    assert size_of([value]) == size


@given(
    st.lists(
        st.binary(max_size=50)
        | st.text(max_size=50)
        | st.lists(st.binary(max_size=50), max_size=5),
        max_size=5,
    )
)
def test_arguments_are_as_large_as_all_of_them_and_never_smaller_than_their_bytes(
    args: list[bytes | str | list[bytes]],
) -> None:
    assert size_of(args) == sum(size_of([each]) for each in args)
    assert size_of(iter(args)) == size_of(args)
    flat = [part for each in args for part in (each if isinstance(each, list) else [each])]
    assert size_of(args) >= sum(map(len, flat))


VISIBLE = st.characters(exclude_characters="…", exclude_categories=())
QUOTED = st.text(VISIBLE, min_size=3, max_size=20)
AROUND = st.text(VISIBLE, max_size=20)


@given(st.lists(st.tuples(AROUND, QUOTED), min_size=1, max_size=5), AROUND)
def test_no_text_of_three_or_more_characters_survives_in_a_message_that_quotes_it(
    pieces: list[tuple[str, str]], end: str
) -> None:
    message = "".join(before + value for before, value in pieces) + end
    values = [value for _, value in pieces]
    for given_as in (values, values[::-1], [values], [(), [tuple(values)]]):
        scrubbed = scrub(message, given_as)
        assert not [value for value in values if value in scrubbed]


@given(
    st.text("abc", min_size=3, max_size=12),
    st.lists(st.text("abc", min_size=3, max_size=6), max_size=6),
)
def test_no_value_survives_beside_others_that_overlap_it_or_contain_it(
    message: str, values: list[str]
) -> None:
    scrubbed = scrub(message, values)
    assert not [value for value in values if value in scrubbed]


@given(st.text("ab…", min_size=3, max_size=6))
def test_a_value_that_looks_like_what_was_scrubbed_does_not_survive_either(value: str) -> None:
    assume(value != "………")
    assert value not in scrub(f"it said {value!s}, twice: {value}", [value])


@given(AROUND, st.lists(QUOTED, max_size=5))
def test_a_message_that_quotes_nothing_stays(message: str, values: list[str]) -> None:
    assume(not any(value in message for value in values))
    assert scrub(message, values) == message


@given(
    st.lists(
        st.integers(min_value=100) | st.integers(max_value=-10) | st.floats(allow_nan=False),
        min_size=1,
        max_size=5,
    )
)
def test_no_number_of_three_or_more_characters_survives_as_python_writes_it(
    values: list[float],
) -> None:
    scrubbed = scrub(" and ".join(map(str, values)), values)
    assert not [value for value in values if str(value) in scrubbed]


@pytest.mark.parametrize(
    ("message", "values", "scrubbed"),
    [
        ('value "secret" of "secret"', ["secret"], 'value "…" of "…"'),
        ("secrets and a secret", ["secret", "secrets"], "… and a …"),
        ("secrets and a secret", ["secrets", "secret"], "… and a …"),
        ("no SECRET", ["secret"], "no SECRET"),
        ("id 12 of 1234", [12, 1234], "id 12 of …"),
        ("at 4.5, at 4.0", [4.5, 4.0], "at …, at …"),
        ("nan and inf", [nan, inf], "… and …"),
        ("on a line", ["on", "a", "", "l"], "on a line"),
        ("a\nb", ["a\nb"], "…"),
        ("abc", [b"abc", bytearray(b"abc"), memoryview(b"abc"), array("b", b"abc")], "abc"),
        ("None at all", [None], "None at all"),
        ("", ["secret"], ""),
        ("secret", [], "secret"),
        ("a list of [secret, other]", [["secret", ["other"]]], "a list of […, …]"),
    ],
)
def test_values_are_scrubbed_wherever_a_message_quotes_them(
    message: str, values: list[object], scrubbed: str
) -> None:
    assert scrub(message, values) == scrubbed


@pytest.mark.parametrize(
    ("message", "secret"),
    [
        (
            repr('O\'Neill "Shaq"\n42 High Street'),
            'O\'Neill "Shaq"\n42 High Street',
        ),  # as f"{value!r}" in a traceback
        (
            "near 'O''Neill, 42 High Street'",
            "O'Neill, 42 High Street",
        ),  # as PostgreSQL and PostGIS quote
        # as asyncpg's DataError: the first 40 characters of the repr
        (
            f"invalid input for query argument $1: {'Neill, 42 High Street, ' * 3!r:.40}...",
            "Neill, 42 High Street, " * 3,
        ),
    ],
)
def test_a_value_that_is_quoted_with_escapes_or_cut_short_does_not_survive(
    message: str, secret: str
) -> None:
    assert "High Street" not in scrub(message, [secret])
