"""A box of one CRS as it lies in another, where its edges are curves. PROJ tells where that is; PostGIS transforms what is
compared, so that a box and what is served in its CRS cannot differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, cos, isfinite, radians, sqrt

from pyproj import Transformer
from pyproj.enums import TransformDirection

from geosvc.errors import InvalidParameter
from geosvc.model.bbox import Bbox
from geosvc.model.bounds import Bounds
from geosvc.model.crs import (
    UNKNOWN,
    WEB_MERCATOR,
    WGS84,
    Srid,
    area_of_use,
    cached_until_redefined,
    half_turn,
    transformer_of,
)

Line = tuple[Sequence[float], Sequence[float]]
_SAMPLES = 32  # places along an edge that are looked at
_MOST_PIECES = 256  # of an edge; then the edges of a box of 500 km stray by some centimetres
_STRAY_METRES, _STRAY_DEGREES = 1e-3, 1e-8
# What PROJ says here and in the database may differ by as much, where only one of them has a grid of the datum.
_APART_METRES, _APART_DEGREES = 300.0, 0.003
_WIDER = 0.02  # of a side, for what lies between the places that are looked at


@dataclass(frozen=True, slots=True)
class ReprojectedBbox:
    """A box of one CRS in another.

    Attributes:
        bounds: what holds it; more than one on either side of the antimeridian.
        inside: a box that is in it whole; None where none is known.
        step: the length of the pieces that the edges are cut into to be straight there, unit of the box.
        whole: whether its edges enclose it there, which they do not across the antimeridian and around a pole.
        simple: whether its edges there neither touch nor cross.
    """

    bounds: tuple[Bounds, ...]
    inside: Bounds | None = None
    step: float = 1.0
    whole: bool = True
    simple: bool = True


def _between(first: float, last: float) -> list[float]:
    return [first + (last - first) * place / _SAMPLES for place in range(_SAMPLES + 1)]


def _edges(box: Bbox) -> tuple[Line, Line, Line, Line]:
    """Bottom, right, top, left; rightwards and upwards."""
    xs, ys = _between(box.xmin, box.xmax), _between(box.ymin, box.ymax)
    still = len(xs)
    return (
        (xs, [box.ymin] * still),
        ([box.xmax] * still, ys),
        (xs, [box.ymax] * still),
        ([box.xmin] * still, ys),
    )


def _come_back(box: Bbox, here: Line, there: Line, transformer: Transformer) -> bool:
    """Whether places transform both ways, so that where they are can be relied upon."""
    back = transformer.transform(*there, direction=TransformDirection.INVERSE)
    half = half_turn(box.srid)
    size = max(box.xmax - box.xmin, box.ymax - box.ymin)
    # there and back may be by different operations between two datums
    slack = _APART_METRES + 1e-6 * size if half is None else _APART_DEGREES
    for x, y, x_there, y_there, x_back, y_back in zip(*here, *there, *back, strict=True):
        if not all(map(isfinite, (x_there, y_there, x_back, y_back))):
            return False
        aside = abs(x_back - x)
        if half is not None:
            aside = min(aside, abs(2 * half - aside)) * cos(radians(y * 180 / half))
        if max(aside, abs(y_back - y)) > slack:
            return False
    return True


@cached_until_redefined
def reproject_bbox(box: Bbox, into: Srid) -> ReprojectedBbox | None:
    """A part of a box in another CRS; None when that cannot be told, as far outside of what one of them is for.

    Args:
        box: with xmin below xmax.
    """
    transformer = transformer_of(box.srid, into)
    if transformer is None:
        return None
    edges = _edges(box)
    there = [transformer.transform(*edge) for edge in edges]
    middle = ([(box.xmin + box.xmax) / 2], [(box.ymin + box.ymax) / 2])
    middle_there = transformer.transform(*middle)
    for here, found in zip((*edges, middle), (*there, middle_there), strict=True):
        if not _come_back(box, here, found, transformer):
            return None
    if into == WEB_MERCATOR:
        degrees = reproject_bbox(box, WGS84)
        if degrees is None or degrees.whole:
            return _whole(box, into, there, transformer) if degrees is not None else None
        flat = (Bbox(*bounds).degrees_to_web_mercator() for bounds in degrees.bounds)
        return ReprojectedBbox(
            tuple((each.xmin, each.ymin, each.xmax, each.ymax) for each in flat), whole=False
        )
    half = half_turn(into)
    if half is not None and _is_split(box, there, half, transformer):
        return _split(box, half, transformer)
    # with a place within that is infinitely far there, it is all that lies around the edges
    return (
        _whole(box, into, there, transformer)
        if _enclose(there, middle_there) or _is_flat(box)
        else None
    )


def _is_flat(box: Bbox) -> bool:
    return box.xmin == box.xmax or box.ymin == box.ymax


def _enclose(there: Sequence[Line], middle: Line) -> bool:
    """Whether a ring of four edges goes around a place, by the number of times that it crosses a ray."""
    bottom, right, top, left = there
    xs = [*bottom[0], *right[0], *reversed(top[0]), *reversed(left[0])]
    ys = [*bottom[1], *right[1], *reversed(top[1]), *reversed(left[1])]
    (x,), (y,) = middle
    within = False
    for (x1, y1), (x2, y2) in zip(
        zip(xs, ys, strict=True), zip(xs[1:] + xs[:1], ys[1:] + ys[:1], strict=True), strict=True
    ):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            within = not within
    return within


def _is_split(box: Bbox, there: Sequence[Line], half: float, transformer: Transformer) -> bool:
    """Whether the antimeridian or a pole lies within."""
    if any(abs(b - a) > half for xs, _ in there for a, b in pairwise(xs)):
        return True
    if half_turn(box.srid) is not None:
        return False
    poles = transformer.transform(
        [0.0, 0.0], [half / 2, -half / 2], direction=TransformDirection.INVERSE
    )
    return any(
        box.xmin <= x <= box.xmax and box.ymin <= y <= box.ymax for x, y in zip(*poles, strict=True)
    )


def _split(box: Bbox, half: float, transformer: Transformer) -> ReprojectedBbox | None:
    west, south, east, north = transformer.transform_bounds(
        box.xmin, box.ymin, box.xmax, box.ymax, densify_pts=_SAMPLES
    )
    if not all(map(isfinite, (west, south, east, north))):
        return None
    high = _WIDER * (north - south) + _APART_DEGREES
    south, north = max(south - high, -half / 2), min(north + high, half / 2)
    width = (east - west) % (2 * half) or 2 * half
    wide = _WIDER * width + _APART_DEGREES
    if width + 2 * wide >= 2 * half:
        return ReprojectedBbox(((-half, south, half, north),), whole=False)
    west, east = west - wide, east + wide
    if west >= -half and east <= half and west <= east:
        return ReprojectedBbox(((west, south, east, north),), whole=False)
    west, east = (west + half) % (2 * half) - half, (east + half) % (2 * half) - half
    return ReprojectedBbox(((west, south, half, north), (-half, south, east, north)), whole=False)


def _whole(
    box: Bbox, into: Srid, there: Sequence[Line], transformer: Transformer
) -> ReprojectedBbox:
    angles = half_turn(into) is not None
    apart, stray = (_APART_DEGREES, _STRAY_DEGREES) if angles else (_APART_METRES, _STRAY_METRES)
    xs, ys = [x for line in there for x in line[0]], [y for line in there for y in line[1]]
    bounds = min(xs), min(ys), max(xs), max(ys)
    bottom, right, top, left = there
    aside = _WIDER * (bounds[2] - bounds[0]) + apart
    above = _WIDER * (bounds[3] - bounds[1]) + apart
    inside = (
        max(left[0]) + aside,
        max(bottom[1]) + above,
        min(right[0]) - aside,
        min(top[1]) - above,
    )
    steps = [
        (box.xmax - box.xmin) / _pieces(bottom, top, stray),
        (box.ymax - box.ymin) / _pieces(left, right, stray),
    ]
    around = half_turn(box.srid) is not None and (
        max(-box.ymin, box.ymax) > 89 or box.xmax - box.xmin > 350
    )
    return ReprojectedBbox(
        ((bounds[0] - aside, bounds[1] - above, bounds[2] + aside, bounds[3] + above),),
        inside if _lies_inside(box, inside, transformer) else None,
        min((step for step in steps if step > 0), default=1.0),
        simple=not _is_flat(box) and not around,
    )


def _lies_inside(box: Bbox, inside: Bounds, transformer: Transformer) -> bool:
    """No edge comes into it, so one place tells of all."""
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        return False
    middle = (inside[0] + inside[2]) / 2, (inside[1] + inside[3]) / 2
    x, y = transformer.transform(*middle, direction=TransformDirection.INVERSE)
    return bool(box.xmin < x < box.xmax and box.ymin < y < box.ymax)


def _pieces(first: Line, second: Line, stray: float) -> int:
    """Into how many pieces two opposite edges are cut, that none strays from a straight one; halves stray a fourth."""
    farthest = 0.0
    for xs, ys in (first, second):
        for place in (_SAMPLES // 4, _SAMPLES // 2, _SAMPLES * 3 // 4):
            part = place / _SAMPLES
            x, y = xs[0] + (xs[-1] - xs[0]) * part, ys[0] + (ys[-1] - ys[0]) * part
            farthest = max(farthest, abs(xs[place] - x), abs(ys[place] - y))
    return min(max(ceil(sqrt(farthest / stray)), 1), _MOST_PIECES)


def clip_to_domain(box: Bbox) -> Bbox:
    """A box that has a place on Earth. One that reaches farther than its CRS does is cut to what that is for, and as much
    again on every side.

    Raises: InvalidParameter when nothing is left.
    """
    if all(reproject_bbox(part, WGS84) is not None for part in box.parts()):
        return box
    area, into = area_of_use(box.srid), transformer_of(WGS84, box.srid)
    limits = (
        None if area is None or into is None else into.transform_bounds(*area, densify_pts=_SAMPLES)
    )
    if limits is not None and all(map(isfinite, limits)):
        wide, high = limits[2] - limits[0], limits[3] - limits[1]
        cut = replace(
            box,
            xmin=max(box.xmin, limits[0] - wide),
            ymin=max(box.ymin, limits[1] - high),
            xmax=min(box.xmax, limits[2] + wide),
            ymax=min(box.ymax, limits[3] + high),
        )
        if cut.xmin <= cut.xmax and cut.ymin <= cut.ymax and reproject_bbox(cut, WGS84) is not None:
            return cut
    raise InvalidParameter("bbox lies where its reference system has no places", parameter="bbox")


def srid_or_wgs84(srid: Srid) -> Srid:
    """What coordinates of a column are in; where it does not say, they are taken for longitude and latitude."""
    return WGS84 if srid == UNKNOWN else srid
