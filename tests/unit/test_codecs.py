"""The binary codecs.

EWKB is written here anew, from PostGIS's description, so that no mistake is made twice.
"""

import json
from math import isnan
from struct import pack
from typing import Any

import orjson
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from geosvc.database.codecs import (
    MAX_COLLECTION_DEPTH,
    RefusedGeometry,
    _decode_json,
    _decode_jsonb,
    _encode_jsonb,
    collection_depth,
    decode_ewkb,
    encode_ewkb,
)

POINT, LINE, POLYGON, COLLECTION = 1, 2, 3, 7
MEMBER = {4: POINT, 5: LINE, 6: POLYGON}
NAMES = {
    1: "Point",
    2: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
    7: "GeometryCollection",
}
CURVES = (8, 9, 10, 11, 12)
NUMBERS = st.floats(-1e9, 1e9)


def ewkb(
    shape: int, content: Any, axes: str = "", srid: int | None = None, order: str = "<"
) -> bytes:
    """EWKB of nested content: a point is a tuple, a line a list of them, a polygon a list of rings,
    a collection a list of (shape, content).
    """
    kind = (
        shape
        | 0x80000000 * ("Z" in axes)
        | 0x40000000 * ("M" in axes)
        | 0x20000000 * (srid is not None)
    )
    head = (b"\x01" if order == "<" else b"\x00") + pack(f"{order}I", kind)
    if srid is not None:
        head += pack(f"{order}i", srid)
    dimension = 2 + len(axes)

    def points(each: list[tuple[float, ...]]) -> bytes:
        return pack(f"{order}I", len(each)) + b"".join(
            pack(f"{order}{dimension}d", *point) for point in each
        )

    if shape == POINT:
        return head + pack(f"{order}{dimension}d", *(content or (float("nan"),) * dimension))
    if shape == LINE:
        return head + points(content)
    head += pack(f"{order}I", len(content))
    if shape in (POLYGON, 17):
        return head + b"".join(map(points, content))
    members = content if shape == COLLECTION else [(MEMBER[shape], each) for each in content]
    return head + b"".join(ewkb(kind_, each, axes, None, order) for kind_, each in members)


def contents(shape: int, dimension: int) -> st.SearchStrategy[Any]:
    """What a geometry of this shape can hold, emptiness included."""
    point = st.tuples(*[NUMBERS] * dimension)
    if shape == POINT:
        return st.none() | point
    if shape == LINE:
        return st.just([]) | st.lists(point, min_size=2, max_size=5)
    if shape == POLYGON:
        ring = st.lists(point, min_size=3, max_size=5).map(lambda each: [*each, each[0]])
        return st.lists(ring, max_size=3)
    if shape == COLLECTION:
        plain = st.sampled_from([1, 2, 3, 4, 5, 6]).flatmap(
            lambda kind: st.tuples(st.just(kind), contents(kind, dimension))
        )
        return st.lists(
            st.recursive(
                plain,
                lambda inner: st.tuples(st.just(COLLECTION), st.lists(inner, max_size=3)),
                max_leaves=4,
            ),
            max_size=4,
        )
    return st.lists(contents(MEMBER[shape], dimension), max_size=3)


@st.composite
def geometries(draw: st.DrawFn) -> tuple[int, Any, str, int | None]:
    """(shape, content, axes, srid)."""
    shape = draw(st.sampled_from(sorted(NAMES)))
    axes = draw(st.sampled_from(["", "Z", "M", "ZM"]))
    return (
        shape,
        draw(contents(shape, 2 + len(axes))),
        axes,
        draw(st.none() | st.integers(1, 999_999)),
    )


def decoded_as_shapely(raw: bytes) -> BaseGeometry:
    """What is decoded, and not refused."""
    decoded = decode_ewkb(raw)
    assert isinstance(decoded, BaseGeometry), decoded
    return decoded


def same(first: BaseGeometry, second: BaseGeometry) -> bool:
    """Alike in type, axes, SRID, structure and every coordinate."""
    return bool(
        first.geom_type == second.geom_type
        and (first.has_z, first.has_m) == (second.has_z, second.has_m)
        and shapely.get_srid(first) == shapely.get_srid(second)
        and shapely.equals_identical(first, second)
    )


@settings(max_examples=300)
@given(geometries())
def test_every_geometry_is_decoded_with_its_type_axes_and_srid_and_encoded_again(
    described: tuple[int, Any, str, int | None],
) -> None:
    shape, _, axes, srid = described
    raw = ewkb(*described)
    decoded = decoded_as_shapely(raw)
    assert decoded.geom_type == NAMES[shape]
    assert shapely.get_srid(decoded) == (srid or 0)
    if not decoded.is_empty:
        assert (decoded.has_z, decoded.has_m) == ("Z" in axes, "M" in axes)
    again = encode_ewkb(decoded)
    reread = decoded_as_shapely(again)
    assert same(decoded, reread)
    if not decoded.is_empty and "EMPTY" not in decoded.wkt:
        assert again == raw


@settings(max_examples=100)
@given(geometries())
def test_the_order_of_the_bytes_makes_no_difference(
    described: tuple[int, Any, str, int | None],
) -> None:
    little, big = (decoded_as_shapely(ewkb(*described, order=order)) for order in "<>")
    assert same(little, big)


@pytest.mark.parametrize("axes", ["", "Z", "M", "ZM"])
@pytest.mark.parametrize("srid", [None, 4326, 3067])
def test_the_coordinates_of_every_axis_arrive(axes: str, srid: int | None) -> None:
    decoded = decode_ewkb(ewkb(POINT, (1.5, -2.25, 3.0, 4.0)[: 2 + len(axes)], axes, srid))
    assert isinstance(decoded, shapely.Point)
    assert (decoded.x, decoded.y) == (1.5, -2.25)
    assert shapely.get_srid(decoded) == (srid or 0)
    assert not decoded.has_z or decoded.z == 3.0
    assert not decoded.has_m or decoded.m == (4.0 if axes == "ZM" else 3.0)


@pytest.mark.parametrize("shape", sorted(NAMES))
@pytest.mark.parametrize("srid", [None, 4326])
def test_an_empty_geometry_keeps_its_type_and_srid(shape: int, srid: int | None) -> None:
    decoded = decoded_as_shapely(ewkb(shape, None if shape == POINT else [], "", srid))
    assert decoded.is_empty
    assert encode_ewkb(decoded)[:5] == ewkb(shape, None if shape == POINT else [], "", srid)[:5]
    assert shapely.get_srid(decoded) == (srid or 0)


@pytest.mark.parametrize(
    "ring",
    [[(0.0, 0.0), (1.0, 1.0)], [(0.0, 0.0)], [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]],
    ids=["two", "one", "open"],
)
@pytest.mark.parametrize("shape", [POLYGON, 6, COLLECTION])
def test_a_ring_that_geos_refuses_comes_back_with_its_bytes(
    ring: list[tuple[float, float]], shape: int
) -> None:
    content: Any = {POLYGON: [ring], 6: [[ring]], COLLECTION: [(POLYGON, [ring])]}[shape]
    raw = ewkb(shape, content, "", 4326)
    decoded = decode_ewkb(raw)
    assert isinstance(decoded, RefusedGeometry)
    assert decoded.reason
    assert decoded.ewkb == encode_ewkb(decoded) == raw


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", [MAX_COLLECTION_DEPTH + 1, 30_000])
def test_collections_nested_30000_deep_are_refused_without_a_crash(depth: int, order: str) -> None:
    # GEOS would overflow the stack and take the process with it
    opened = (b"\x01" if order == "<" else b"\x00") + pack(f"{order}II", COLLECTION, 1)
    raw = opened * depth + ewkb(POINT, (1.0, 2.0), order=order)
    decoded = decode_ewkb(raw)
    assert isinstance(decoded, RefusedGeometry)
    assert decoded.ewkb == raw
    assert "nested" in decoded.reason


@pytest.mark.parametrize("depth", [1, 2, MAX_COLLECTION_DEPTH])
def test_collections_nested_as_deep_as_allowed_are_decoded(depth: int) -> None:
    raw = (b"\x01" + pack("<II", COLLECTION, 1)) * depth + ewkb(POINT, (1.0, 2.0))
    assert isinstance(decode_ewkb(raw), shapely.GeometryCollection)
    assert collection_depth(raw) == depth


def test_deep_collections_behind_other_members_are_found() -> None:
    inner = (b"\x01" + pack("<II", COLLECTION, 1)) * 1_000 + ewkb(POINT, (1.0, 2.0))
    ring = [(0.0, 0.0, 5.0), (1.0, 0.0, 5.0), (1.0, 1.0, 5.0), (0.0, 0.0, 5.0)]
    before = [
        ewkb(POINT, (1.0, 2.0), "", 4326),
        ewkb(LINE, [(1.0, 2.0, 3.0, 4.0)] * 3, "ZM"),
        ewkb(POLYGON, [ring, ring], "Z"),
        ewkb(4, [(1.0, 2.0)]),
    ]
    raw = b"\x01" + pack("<III", COLLECTION | 0x20000000, 4326, 5) + b"".join(before) + inner
    assert collection_depth(raw) > MAX_COLLECTION_DEPTH
    assert isinstance(decode_ewkb(raw), RefusedGeometry)


@settings(max_examples=200)
@given(geometries(), st.randoms(use_true_random=False))
def test_bytes_that_end_too_early_are_refused(
    described: tuple[int, Any, str, int | None], random: Any
) -> None:
    raw = ewkb(*described)
    cut = raw[: random.randrange(len(raw))]
    decoded = decode_ewkb(cut)
    assert isinstance(decoded, RefusedGeometry)
    assert decoded.ewkb == cut


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        b"\x01\x01\x00\x00\x00",
        b"\x02" * 30,
        b"\x01\x07\x00\x00\x00\xff\xff\xff\xff",
        b"\x01\xff\x00\x00\x00" + bytes(30),
    ],
)
def test_rubbish_is_refused(raw: bytes) -> None:
    assert isinstance(decode_ewkb(raw), RefusedGeometry)


@pytest.mark.parametrize("shape", [*CURVES, 15, 16, 17])
def test_what_shapely_does_not_know_is_refused_and_never_raises(shape: int) -> None:
    members = {
        8: ewkb(LINE, [(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)])[5:],
        17: ewkb(17, [[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]])[5:],
    }
    raw = b"\x01" + pack("<I", shape) + members.get(shape, pack("<I", 0))
    decoded = decode_ewkb(raw)
    assert encode_ewkb(decoded)
    assert isinstance(decoded, RefusedGeometry)


@given(st.binary(max_size=80))
def test_no_bytes_make_the_decoder_raise(raw: bytes) -> None:
    decode_ewkb(raw)


@given(geometries(), st.integers(0, 200), st.integers(0, 255))
def test_no_flipped_byte_makes_the_decoder_raise(
    described: tuple[int, Any, str, int | None], place: int, value: int
) -> None:
    raw = bytearray(ewkb(*described))
    raw[place % len(raw)] = value
    decode_ewkb(bytes(raw))


def test_coordinates_that_are_not_finite_are_decoded() -> None:
    decoded = decode_ewkb(ewkb(LINE, [(float("nan"), 1.0), (float("inf"), 2.0)]))
    assert isinstance(decoded, shapely.LineString)
    assert isnan(shapely.get_coordinates(decoded)[0][0])


@pytest.mark.parametrize("value", [5, "POINT (1 2)", b"\x01", {"type": "Point"}, None])
def test_what_is_no_geometry_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        encode_ewkb(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=10,
)


@given(JSON)
def test_json_and_jsonb_are_read_back(value: Any) -> None:
    assert _decode_json(orjson.dumps(value)) == value
    assert _encode_jsonb(value)[:1] == b"\x01"
    assert _decode_jsonb(_encode_jsonb(value)) == value


@pytest.mark.parametrize("text", ['"\\ud800"', '["a\\udc00b"]', '{"\\ud83d": 1}'])
def test_lone_surrogates_which_json_may_hold_are_decoded(text: str) -> None:
    assert _decode_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "raw", [b"[1e400]", b"[-1e400]", b"[" + b"9" * 400 + b"]", b"[" + b"9" * 5_000 + b"]"]
)
def test_a_number_that_jsonb_stores_and_python_does_not_is_no_error(raw: bytes) -> None:
    # jsonb holds numeric, up to 131,072 digits; a decoder that raises loses the rest of the rows
    assert len(_decode_json(raw)) == 1


@pytest.mark.parametrize("depth", [500, 1_500, 5_000])
def test_json_nested_as_deep_as_postgresql_takes_is_no_error(depth: int) -> None:
    # PostgreSQL's max_stack_depth of 2 MB takes more than 5,000 levels
    _decode_json(b"[" * depth + b"]" * depth)
