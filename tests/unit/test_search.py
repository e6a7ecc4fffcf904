"""Bodies of searches that would cost more than they look are refused before anything is made of
them.
"""

import tracemalloc
from collections.abc import Callable

import pytest

from geosvc.errors import (
    InvalidBody,
    InvalidFeature,
    InvalidFilter,
    InvalidParameter,
    RequestError,
    UnknownParameter,
)
from geosvc.model.collection import Collection, CollectionId, Column, GeometryColumn, RelationKind
from geosvc.model.crs import WGS84
from geosvc.requests.items import PageLimits, ReadingRules
from geosvc.requests.search import MAX_MEMBER_BYTES, parse_search

MEBI = 1 << 20
COLUMN = Column("name", "text", "pg_catalog", "text", "S")
PLACES = Collection(
    CollectionId("places"),
    "places",
    None,
    "public",
    "places",
    RelationKind.TABLE,
    GeometryColumn("geom", "GEOMETRY", WGS84),
    (COLUMN,),
    by_name={"name": COLUMN},
)


def filled(begin: bytes, part: bytes, end: bytes) -> bytes:
    """A body of a MiB of one part again and again."""
    return begin + part * ((MEBI - len(begin) - len(end)) // len(part)) + end


def members(number: int, value: bytes) -> bytes:
    return b"{" + b",".join(b'"%x":%b' % (each, value) for each in range(number)) + b"}"


BOMBS: dict[str, tuple[Callable[[], bytes], type[RequestError]]] = {
    "arrays in an unknown member": (lambda: filled(b'{"x":[', b"[],", b"[]]}"), InvalidBody),
    "objects in an unknown member": (lambda: filled(b'{"x":[', b"{},", b"{}]}"), InvalidBody),
    "numbers as a type": (lambda: filled(b'{"geometry":{"type":[', b"1,", b"1]}}"), InvalidFeature),
    "numbers as a geometry": (lambda: filled(b'{"geometry":[', b"1,", b"1]}"), InvalidFeature),
    "positions without end": (
        lambda: filled(b'{"geometry":{"type":"LineString","coordinates":[', b"[1,1],", b"1"),
        InvalidBody,
    ),
    "objects in a filter": (
        lambda: filled(b'{"filter":{"op":"or","args":[', b'{"a":1},', b"1]}}"),
        InvalidFilter,
    ),
    "numbers in an unknown member": (lambda: filled(b'{"x":[', b"1,", b"1]}"), UnknownParameter),
    "unknown members": (lambda: members(90_000, b"1"), InvalidBody),
    "unknown members with objects": (lambda: members(70_000, b"{}"), InvalidBody),
    "names within a known member": (
        lambda: b'{"sortby":' + members(80_000, b"1") + b"}",
        InvalidParameter,
    ),
    "names to sort by": (lambda: filled(b'{"sortby":[', b'"name",', b'"name"]}'), InvalidParameter),
    "names of properties": (
        lambda: filled(b'{"properties":[', b'"name",', b'"name"]}'),
        InvalidParameter,
    ),
    "numbers of a box": (lambda: filled(b'{"bbox":[', b"1,", b"1]}"), InvalidParameter),
    "a long value": (lambda: filled(b'{"name":"', b"x", b'"}'), InvalidParameter),
    "a long number": (lambda: filled(b'{"limit":', b"1", b"}"), InvalidParameter),
    "arrays as a geometry": (lambda: filled(b'{"geometry":[', b"[],", b"[]]}"), InvalidBody),
    "arrays as a type": (lambda: filled(b'{"geometry":{"type":[', b"[],", b"[]]}}"), InvalidBody),
    "a long filter": (lambda: filled(b'{"filter":"', b"name=1 OR ", b'name=1"}'), InvalidFilter),
    "a long filter in JSON": (
        lambda: filled(b'{"filter":{"op":"or","args":[', b"[],", b"[]]}}"),
        InvalidBody,
    ),
    "depth": (
        lambda: filled(b'{"geometry":{"type":"Point","coordinates":', b"[", b""),
        InvalidBody,
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_in_little_memory(bomb: str) -> None:
    make, kind = BOMBS[bomb]
    body = make()
    rules = ReadingRules(PageLimits(10, 100))
    tracemalloc.start()
    try:
        with pytest.raises(kind) as refused:
            parse_search(body, PLACES, rules, 1_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # of the scan for brackets, which is for a moment
    assert peak < 24 * MEBI, peak
    assert len(refused.value.detail) < 1_000


def test_an_unknown_member_is_refused_before_anybody_looks_at_its_value() -> None:
    with pytest.raises(UnknownParameter) as refused:
        parse_search(b'{"limit":5,"nam":1e999}', PLACES, ReadingRules(PageLimits(10, 100)), 100)
    assert refused.value.pointer == "/nam"
    assert "did you mean name?" in refused.value.detail


def test_members_of_the_usual_length_are_read() -> None:
    body = b'{"name":"%b"}' % (b"x" * (MAX_MEMBER_BYTES - 2))
    assert parse_search(body, PLACES, ReadingRules(PageLimits(10, 100)), 100).equals[0][0] == "name"
