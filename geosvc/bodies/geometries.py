"""Posted geometries, checked by thousands at a time: GeoJSON to EWKB.

GEOS gets no geometry that could harm it: nesting and size are checked before
(docs/decisions/0015). A geometry that can be stored becomes EWKB; any other has a Fault that says
where it is wrong, and why. On request geometries are repaired.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from struct import pack
from typing import Any, Literal

import msgspec
import numpy as np
import shapely

from geosvc.bodies.brackets import BracketScanner, greatest_depth
from geosvc.bodies.geometry_checks import (
    GeometryBatch,
    Shapes,
    check_coordinates,
    check_validity,
    explain_unreadable,
    fit_dimension,
    fit_type,
)
from geosvc.bodies.geometry_faults import Fault
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN, WGS84, Crs, Srid

MAX_DEPTH = 64
"""Brackets within brackets. GEOS crashes on some thousands of nested collections."""
_AT_ONCE_BYTES = 1 << 18  # 5 ms
_MORE_BRACKETS = 64  # brackets that are not positions: of rings, of members


@dataclass(frozen=True, slots=True)
class GeometryRules:
    """What a geometry must be.

    Attributes:
        column: that the geometry is stored in.
        crs: of the coordinates as they are posted.
        max_vertices: the most positions of a geometry.
        repair: whether to repair a geometry where that is possible.
    """

    column: GeometryColumn
    crs: Crs
    max_vertices: int
    repair: bool = False

    @property
    def stores_any_dimension(self) -> bool:
        """Whether the column has no constraint on heights: it has no type or no SRID."""
        return self.column.type == "GEOMETRY" and self.column.srid in (UNKNOWN, WGS84)

    @property
    def srid(self) -> Srid:
        """The SRID of the EWKB."""
        return self.crs.srid


@dataclass(slots=True)
class Geometries:
    """The geometries of a request, by index.

    Attributes:
        ewkb: of each; None for null, and for one with a fault.
        faults: what is wrong with those that cannot be stored.
        repairs: what was changed in those that were repaired.
    """

    ewkb: list[bytes | None]
    faults: dict[int, Fault] = field(default_factory=dict)
    repairs: dict[int, str] = field(default_factory=dict)


class _Point(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["Point"]
    coordinates: tuple[float, float]


_POINT_DECODER = msgspec.json.Decoder(_Point)


def read_geometries(texts: Sequence[bytes], rules: GeometryRules) -> Geometries:
    """Reads and checks geometries.

    Args:
        texts: GeoJSON geometries, each one a JSON value, which may be `null`.
    """
    if len(texts) == 1:
        # API clients mostly post one point. By way of arrays it takes a tenth of the time of a
        # request.
        point = _plain_point(texts[0], rules)
        if point is not None:
            return Geometries([point])
    return _read_many(texts, rules)


def nesting_depth(text: bytes) -> int:
    """How deep the brackets outside strings are nested; 0 where it can be MAX_DEPTH at most."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return 0
    return greatest_depth(BracketScanner().scan(text).depth)


def _plain_point(text: bytes, rules: GeometryRules) -> bytes | None:
    """The EWKB of a point in longitude and latitude without a height; None for all others."""
    column = rules.column
    if rules.crs.srid != WGS84 or rules.crs.has_y_first:
        return None
    if column.type not in ("POINT", "GEOMETRY") or column.has_z:
        return None
    try:
        x, y = _POINT_DECODER.decode(text).coordinates
    except (msgspec.DecodeError, RecursionError):
        return None
    if not (-180 <= x <= 180 and -90 <= y <= 90):
        return None
    return pack("<BIIdd", 1, 0x20000001, WGS84, x, y)  # little-endian, type 1 with an SRID


@np.errstate(all="ignore")  # `check_coordinates` reports numbers that are not finite
def _read_many(texts: Sequence[bytes], rules: GeometryRules) -> Geometries:
    faults = _find_oversized(texts, rules.max_vertices)
    indexes = []
    for index, text in enumerate(texts):
        if text != b"null" and index not in faults:
            indexes.append(index)
    ewkb: list[bytes | None] = [None] * len(texts)
    if not indexes:
        return Geometries(ewkb, faults)
    shapes = _parse([texts[index] for index in indexes])
    batch = GeometryBatch(shapes, indexes, faults)
    explain_unreadable(batch, texts)
    if rules.crs.has_y_first:
        batch.shapes = _flip(batch.shapes)
    check_coordinates(batch, rules.crs, rules.max_vertices)
    fit_type(batch, rules.column)
    if not rules.stores_any_dimension:
        fit_dimension(batch, rules.column, repair=rules.repair)
    check_validity(batch, rules.column, repair=rules.repair)
    shapes = shapely.set_srid(batch.shapes, rules.srid)
    encoded = shapely.to_wkb(shapes, include_srid=True, flavor="extended")
    for index, value in zip(indexes, encoded, strict=True):
        if index not in faults:
            ewkb[index] = value
    return Geometries(ewkb, faults, batch.repairs)


def _find_oversized(texts: Sequence[bytes], max_vertices: int) -> dict[int, Fault]:
    """The faults of the geometries that GEOS must not get, by index."""
    faults: dict[int, Fault] = {}
    max_brackets = 2 * max_vertices + _MORE_BRACKETS
    for index, text in enumerate(texts):
        if len(text) > max_brackets and text.count(b"[") > max_brackets:
            faults[index] = Fault(f"has more than {max_vertices} positions")
    if nesting_depth(b",".join(texts)) <= MAX_DEPTH:  # nearly always
        return faults
    for index, text in enumerate(texts):
        if nesting_depth(text) > MAX_DEPTH:
            faults.setdefault(index, Fault(f"is nested deeper than {MAX_DEPTH}"))
    return faults


def _parse(texts: Sequence[bytes]) -> Shapes:
    """The shapes of GeoJSON texts; None for one that GEOS cannot read.

    GEOS holds the interpreter's lock while it parses, so it gets a part of the texts at a time,
    and the event loop of another thread goes on.
    """
    shapes = []
    for start, stop in _split_by_bytes(texts):
        part = np.array(texts[start:stop], dtype=object)
        shapes.append(shapely.from_geojson(part, on_invalid="ignore"))
    return np.concatenate(shapes)


def _split_by_bytes(texts: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """(start, stop) of successive texts whose lengths add up to about _AT_ONCE_BYTES."""
    lengths = list(map(len, texts))
    ends = np.cumsum(lengths)
    start = 0
    while start < len(lengths):
        before = int(ends[start]) - lengths[start]
        stop = int(np.searchsorted(ends, before + _AT_ONCE_BYTES))
        stop = max(stop, start + 1)
        yield start, stop
        start = stop


def _flip(shapes: Shapes) -> Any:
    """Exchanges the first two coordinates: inside geosvc x comes before y. None stays None."""
    with_z = bool(shapely.has_z(shapes).any())
    order = [1, 0, 2] if with_z else [1, 0]
    return shapely.transform(shapes, lambda positions: positions[:, order], include_z=with_z)
