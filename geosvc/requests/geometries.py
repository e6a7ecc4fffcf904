"""Posted geometries: checked by thousands at a time, so that what is stored is what was meant, or mended on request.

GEOS sees nothing that could harm it: depth and size are known before (docs/decisions/0015). A geometry that fits is EWKB in the
end; one that does not has a Fault that says where and why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import pack
from typing import Any, Literal

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray

from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN, WGS84, Crs, Srid, half_turn
from geosvc.requests.brackets import BracketScanner
from geosvc.requests.geometry_faults import Fault, find_fault, place_of_invalidity

MAX_DEPTH = 64  # brackets within brackets; nested collections crash GEOS from some thousands on
_TYPES = ("POINT", "LINESTRING", "LINEARRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION")
_CODES = {name: code for code, name in enumerate(_TYPES)}
_ANY = frozenset(range(len(_TYPES)))
_POINTS = (_CODES["POINT"], _CODES["MULTIPOINT"])
_SINGLE_OF = {"MULTIPOINT": "POINT", "MULTILINESTRING": "LINESTRING", "MULTIPOLYGON": "POLYGON"}
_COLLECT: dict[str, Callable[..., Any]] = {
    "MULTIPOINT": shapely.multipoints,
    "MULTILINESTRING": shapely.multilinestrings,
    "MULTIPOLYGON": shapely.multipolygons,
}
_EMPTY = {  # what the functions above make of nothing is an error
    "MULTIPOINT": shapely.MultiPoint(),
    "MULTILINESTRING": shapely.MultiLineString(),
    "MULTIPOLYGON": shapely.MultiPolygon(),
}
_DIMENSION = {"POINT": 0, "MULTIPOINT": 0, "LINESTRING": 1, "MULTILINESTRING": 1, "POLYGON": 2, "MULTIPOLYGON": 2}
_AT_ONCE = 256
_SLACK = 64  # brackets that are no positions: rings, members

Shapes = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class GeometryRules:
    """What a geometry must be.

    Attributes:
        crs: of the coordinates as they come.
        repair: mend what can be mended.
    """

    column: GeometryColumn
    crs: Crs
    max_vertices: int
    repair: bool = False

    @property
    def stores_any_dimension(self) -> bool:
        """Whether the column says nothing of heights: one without a type or an SRID."""
        return self.column.type == "GEOMETRY" and self.column.srid in (UNKNOWN, WGS84)

    @property
    def srid(self) -> Srid:
        """The SRID of the EWKB."""
        return self.crs.srid


@dataclass(slots=True)
class Geometries:
    """What became of geometries, by place.

    Attributes:
        ewkb: of each; None for none, and for those with a fault.
        faults: what is wrong with those that cannot be stored.
        repairs: what was changed in those that were mended.
    """

    ewkb: list[bytes | None]
    faults: dict[int, Fault] = field(default_factory=dict)
    repairs: dict[int, str] = field(default_factory=dict)


def nesting_depth(text: bytes) -> int:
    """How deep brackets are nested; those within strings do not count. No more than MAX_DEPTH of them are not looked at."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return 0
    return int(BracketScanner().scan(text).depth.max(initial=0))


class _Point(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["Point"]
    coordinates: tuple[float, float]


_POINT_DECODER = msgspec.json.Decoder(_Point)


def _plain_point(text: bytes, rules: GeometryRules) -> bytes | None:
    """The EWKB of a point of two finite coordinates in their range; None for everything else."""
    if rules.crs.srid != WGS84 or rules.crs.flipped or rules.column.type not in ("POINT", "GEOMETRY") or rules.column.has_z:
        return None
    try:
        x, y = _POINT_DECODER.decode(text).coordinates
    except (msgspec.DecodeError, RecursionError):
        return None
    if not (-180 <= x <= 180 and -90 <= y <= 90):
        return None
    return pack("<BIIdd", 1, 0x20000001, WGS84, x, y)  # little-endian, type 1 with an SRID


def read_geometries(texts: Sequence[bytes], rules: GeometryRules) -> Geometries:
    """Reads and checks geometries.

    Args:
        texts: GeoJSON geometries, each one a JSON value; `null` is none.
    """
    point = _plain_point(texts[0], rules) if len(texts) == 1 else None
    # what API clients post most, and a tenth of a request's time by way of arrays
    return Geometries([point]) if point is not None else _read_many(texts, rules)


@np.errstate(all="ignore")  # what is not finite is found and told
def _read_many(texts: Sequence[bytes], rules: GeometryRules) -> Geometries:
    found = Geometries([None] * len(texts))
    _find_oversized(found, texts, rules.max_vertices)
    places = [place for place, text in enumerate(texts) if text != b"null" and place not in found.faults]
    if not places:
        return found
    shapes = _parse([texts[place] for place in places])
    _find_unreadable(found, places, shapes, texts)
    if rules.crs.flipped:
        shapes = _flip(shapes)
    for check in (_find_out_of_range, _fit_type, _fit_dimension, _find_invalid):
        shapes = check(found, places, shapes, rules)
    shapes = shapely.set_srid(shapes, rules.srid)
    for place, ewkb in zip(places, shapely.to_wkb(shapes, include_srid=True, flavor="extended"), strict=True):
        if place not in found.faults:
            found.ewkb[place] = ewkb
    return found


def _parse(texts: Sequence[bytes]) -> Shapes:
    """GEOS holds the interpreter's lock while it parses: some at a time, so that the loop of another thread goes on."""
    parts = (np.array(texts[start : start + _AT_ONCE], dtype=object) for start in range(0, len(texts), _AT_ONCE))
    return np.concatenate([shapely.from_geojson(part, on_invalid="ignore") for part in parts])


def _flip(shapes: Shapes) -> Any:
    """With x before y, as it is inside geosvc; a missing one stays missing."""
    with_z = bool(shapely.has_z(shapes).any())
    return shapely.transform(shapes, lambda position: position[:, [1, 0, 2] if with_z else [1, 0]], include_z=with_z)


def _find_oversized(found: Geometries, texts: Sequence[bytes], max_vertices: int) -> None:
    """Those that GEOS must not see."""
    most = 2 * max_vertices + _SLACK
    for place, text in enumerate(texts):
        if len(text) > most and text.count(b"[") > most:
            found.faults[place] = Fault(f"has more than {max_vertices} positions")
    if nesting_depth(b",".join(texts)) <= MAX_DEPTH:  # as nearly always
        return
    for place, text in enumerate(texts):
        if nesting_depth(text) > MAX_DEPTH:
            found.faults.setdefault(place, Fault(f"is nested deeper than {MAX_DEPTH}"))


def _find_unreadable(found: Geometries, places: list[int], shapes: Shapes, texts: Sequence[bytes]) -> None:
    for number in np.flatnonzero(shapely.is_missing(shapes)):
        found.faults[places[number]] = find_fault(texts[places[number]])


def _find_out_of_range(found: Geometries, places: list[int], shapes: Shapes, rules: GeometryRules) -> Shapes:
    """Coordinates that are not finite or not on Earth, and too many of them."""
    bounds, wrong = shapely.bounds(shapes), not_finite(shapes)
    for number in np.flatnonzero(wrong):
        found.faults.setdefault(places[number], Fault("has a coordinate that is not a finite number", "/coordinates"))
    half = half_turn(rules.srid)
    if half is not None:
        beyond = (np.abs(bounds) > (half, half / 2, half, half / 2)).any(axis=1)
        order = "latitude, longitude" if rules.crs.flipped else "longitude, latitude"
        unit = "degrees" if half == 180 else "grads"
        for number in np.flatnonzero(beyond & ~wrong):
            detail = f"has a longitude beyond {half:g} or a latitude beyond {half / 2:g} {unit}; positions are {order}"
            found.faults.setdefault(places[number], Fault(detail, "/coordinates"))
    for number in np.flatnonzero(shapely.get_num_coordinates(shapes) > rules.max_vertices):
        found.faults.setdefault(places[number], Fault(f"has more than {rules.max_vertices} positions"))
    return shapes


def not_finite(shapes: Shapes) -> NDArray[np.bool_]:
    """Which of the shapes have a coordinate, a height too, that is no finite number."""
    coordinates, owners = shapely.get_coordinates(shapes, include_z=True, return_index=True)
    bad = ~np.isfinite(coordinates[:, :2]).all(axis=1) | (~np.isfinite(coordinates[:, 2]) & shapely.has_z(shapes)[owners])
    wrong = np.zeros(len(shapes), dtype=bool)
    wrong[owners[bad]] = True
    return wrong


def _fit_type(found: Geometries, places: list[int], shapes: Shapes, rules: GeometryRules) -> Shapes:
    """Types that the column takes; a single one is a multi one with one member."""
    wanted = rules.column.type
    if wanted == "GEOMETRY" or wanted not in _CODES:
        return shapes
    codes = shapely.get_type_id(shapes)
    single = _SINGLE_OF.get(wanted)
    if single is not None:
        promoted = np.flatnonzero(codes == _CODES[single])
        if len(promoted):
            shapes = shapes.copy()
            shapes[promoted] = promote(shapes[promoted], wanted)
            codes = shapely.get_type_id(shapes)
    for number in np.flatnonzero((codes != _CODES[wanted]) & (codes >= 0)):
        detail = f"is a {_TYPES[codes[number]]}, and {rules.column.name} takes {wanted}"
        found.faults.setdefault(places[number], Fault(detail, "/type"))
    return shapes


def promote(shapes: Shapes, wanted: str) -> Any:
    """Single shapes as multi ones: with one member, or none for what is empty."""
    collect = _COLLECT[wanted]
    if shapely.is_empty(shapes).any():
        return np.array([_EMPTY[wanted] if shape.is_empty else collect([shape]) for shape in shapes], dtype=object)
    return collect(shapes, indices=np.arange(len(shapes)))


def _fit_dimension(found: Geometries, places: list[int], shapes: Shapes, rules: GeometryRules) -> Shapes:
    column = rules.column
    if rules.stores_any_dimension:
        return shapes
    here = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    wrong = (shapely.has_z(shapes) != column.has_z) & here
    if rules.repair and wrong.any():
        shapes = shapes.copy()
        shapes[wrong] = shapely.force_3d(shapes[wrong]) if column.has_z else shapely.force_2d(shapes[wrong])
        for number in np.flatnonzero(wrong):
            found.repairs[places[number]] = "heights of 0 were added" if column.has_z else "heights were left out"
        return shapes
    for number in np.flatnonzero(wrong):
        has = "has no heights, and {} needs them" if column.has_z else "has heights, and {} takes none"
        found.faults.setdefault(places[number], Fault(has.format(column.name), "/coordinates"))
    return shapes


def _find_invalid(found: Geometries, places: list[int], shapes: Shapes, rules: GeometryRules) -> Shapes:
    """What crosses itself, and the like; points are always valid."""
    faulty = np.array([place in found.faults for place in places])
    shaped = ~np.isin(shapely.get_type_id(shapes), (*_POINTS, -1)) & ~faulty
    numbers = np.flatnonzero(shaped)
    invalid = numbers[~shapely.is_valid(shapes[numbers])]
    if not len(invalid):
        return shapes
    shapes = shapes.copy()
    for number in invalid:
        reason = shapely.is_valid_reason(shapes[number])
        mended = _mend(shapes[number], rules.column) if rules.repair else None
        if mended is None:
            found.faults[places[number]] = Fault(place_of_invalidity(reason), "/coordinates")
        else:
            shapes[number] = mended
            found.repairs[places[number]] = f"{place_of_invalidity(reason)}: made valid"
    return shapes


def _mend(shape: shapely.Geometry, column: GeometryColumn) -> shapely.Geometry | None:
    """A valid geometry of the column's type that covers the same; None where there is none."""
    mended = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    dimension = _DIMENSION.get(column.type)
    if dimension is None:
        return None if mended.is_empty else mended
    parts = [part for part in shapely.get_parts(mended) if shapely.get_dimensions(part) == dimension and not part.is_empty]
    if not parts or (column.type not in _SINGLE_OF and len(parts) > 1):
        return None
    whole: shapely.Geometry = _COLLECT[column.type](parts) if column.type in _SINGLE_OF else parts[0]
    return whole
