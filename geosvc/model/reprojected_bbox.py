"""A bounding box in another CRS, where its straight edges become curves.

PROJ finds where the box is in the other CRS. PostGIS then transforms the geometries that are
compared, with the same operations as those in responses. So a box selects exactly the features
whose coordinates, in a response in its CRS, are in the box.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, cos, isfinite, radians, sqrt
from typing import NamedTuple

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

_SAMPLES = 32  # intervals between the points that are transformed along an edge
_MAX_PIECES = 256  # of an edge; at this limit the edges of a box of 500 km are centimetres off
# how far a piece of an edge may deviate from the curve
_TOLERANCE_METRES, _TOLERANCE_DEGREES = 1e-3, 1e-8
# The results of PROJ here and in the database may differ by this much if only one of them has a
# grid of the datum.
_DIFFERENCE_METRES, _DIFFERENCE_DEGREES = 300.0, 0.003
# Between the transformed points an edge may reach farther: bounds get a margin of this part of
# their width and height.
_MARGIN = 0.02


class Points(NamedTuple):
    """The coordinates of some points, as PROJ takes and returns them."""

    xs: Sequence[float]
    ys: Sequence[float]


class Edges(NamedTuple):
    """Points along the four edges of a box, from left to right or from bottom to top."""

    bottom: Points
    right: Points
    top: Points
    left: Points


@dataclass(frozen=True, slots=True)
class ReprojectedBbox:
    """A box transformed to another CRS.

    Attributes:
        bounds: these contain the transformed box; two if it crosses the antimeridian.
        inside: bounds that are completely in the transformed box; None if none are known.
        step: the length of pieces of an edge that are straight after the transformation, in the
            unit of the CRS of the box.
        whole: whether the transformed edges enclose the transformed box. They do not if it crosses
            the antimeridian or contains a pole.
        simple: whether the transformed edges are a valid ring: they do not touch each other.
    """

    bounds: tuple[Bounds, ...]
    inside: Bounds | None = None
    step: float = 1.0
    whole: bool = True
    simple: bool = True


@dataclass(frozen=True, slots=True)
class _Outline:
    """A box and its transformed edges.

    Attributes:
        edges, middle: in the target CRS.
    """

    box: Bbox
    target: Srid
    transformer: Transformer
    edges: Edges
    middle: Points

    def transform_back(self, xs: Sequence[float], ys: Sequence[float]) -> Points:
        """Transforms points in the target CRS to the CRS of the box."""
        inverse = TransformDirection.INVERSE
        return Points(*self.transformer.transform(xs, ys, direction=inverse))


@cached_until_redefined
def reproject_bbox(box: Bbox, target: Srid) -> ReprojectedBbox | None:
    """Transforms a box to another CRS; None if it is too far outside the domain of one of the CRSs.

    Args:
        box: does not cross the antimeridian.
    """
    transformer = transformer_of(box.srid, target)
    if transformer is None:
        return None
    outline = _transform_outline(box, target, transformer)
    if outline is None:
        return None
    if target == WEB_MERCATOR:
        return _reproject_to_web_mercator(outline)
    half = half_turn(target)
    if half is not None and _contains_antimeridian_or_pole(outline, half):
        return _reproject_with_pole(outline, half)
    # The box may contain a point that is infinitely far away in the target CRS. Its image is then
    # everything outside the edges.
    if not _is_flat(box) and not _edges_enclose_middle(outline):
        return None
    return _reproject_whole(outline)


def _reproject_to_web_mercator(outline: _Outline) -> ReprojectedBbox | None:
    in_degrees = reproject_bbox(outline.box, WGS84)
    if in_degrees is None:
        return None
    if in_degrees.whole:
        return _reproject_whole(outline)
    all_bounds = []
    for bounds in in_degrees.bounds:
        part = Bbox(*bounds).degrees_to_web_mercator()
        all_bounds.append((part.xmin, part.ymin, part.xmax, part.ymax))
    return ReprojectedBbox(tuple(all_bounds), whole=False)


def _transform_outline(box: Bbox, target: Srid, transformer: Transformer) -> _Outline | None:
    """The edges and the middle of a box in another CRS; None if a point cannot be transformed."""
    edges = _edges_of(box)
    middle = _middle_of((box.xmin, box.ymin, box.xmax, box.ymax))
    originals = (*edges, middle)
    transformed = [Points(*transformer.transform(*points)) for points in originals]
    new_edges, new_middle = Edges(*transformed[:4]), transformed[4]
    outline = _Outline(box, target, transformer, new_edges, new_middle)
    for points, new_points in zip(originals, transformed, strict=True):
        if not _transforms_back(outline, points, new_points):
            return None
    return outline


def _edges_of(box: Bbox) -> Edges:
    xs = _points_between(box.xmin, box.xmax)
    ys = _points_between(box.ymin, box.ymax)
    count = len(xs)
    return Edges(
        bottom=Points(xs, [box.ymin] * count),
        right=Points([box.xmax] * count, ys),
        top=Points(xs, [box.ymax] * count),
        left=Points([box.xmin] * count, ys),
    )


def _points_between(first: float, last: float) -> list[float]:
    length = last - first
    return [first + length * number / _SAMPLES for number in range(_SAMPLES + 1)]


def _middle_of(bounds: Bounds) -> Points:
    xmin, ymin, xmax, ymax = bounds
    return Points([(xmin + xmax) / 2], [(ymin + ymax) / 2])


def _transforms_back(outline: _Outline, original: Points, transformed: Points) -> bool:
    """Whether the inverse transformation returns the original points, so that both are reliable."""
    box = outline.box
    half = half_turn(box.srid)
    tolerance = _DIFFERENCE_DEGREES
    if half is None:
        # between two datums PROJ may use different operations for the two directions
        tolerance = _DIFFERENCE_METRES + 1e-6 * max(box.width, box.height)
    restored = outline.transform_back(*transformed)
    for x, y, new_x, new_y, restored_x, restored_y in zip(
        *original, *transformed, *restored, strict=True
    ):
        if not all(map(isfinite, (new_x, new_y, restored_x, restored_y))):
            return False
        x_difference = abs(restored_x - x)
        if half is not None:
            x_difference = min(x_difference, abs(2 * half - x_difference))
            x_difference *= cos(radians(y * 180 / half))
        if max(x_difference, abs(restored_y - y)) > tolerance:
            return False
    return True


def _is_flat(box: Bbox) -> bool:
    """Whether a box is a line or a point."""
    return box.width == 0 or box.height == 0


def _edges_enclose_middle(outline: _Outline) -> bool:
    """Whether the middle of the box is inside the ring of the transformed edges.

    It is inside if a ray from it crosses the ring an odd number of times.
    """
    bottom, right, top, left = outline.edges
    xs = [*bottom.xs, *right.xs, *reversed(top.xs), *reversed(left.xs)]
    ys = [*bottom.ys, *right.ys, *reversed(top.ys), *reversed(left.ys)]
    ring = list(zip(xs, ys, strict=True))
    ring.append(ring[0])
    (x,), (y,) = outline.middle
    is_inside = False
    for (x1, y1), (x2, y2) in pairwise(ring):
        if (y1 > y) == (y2 > y):
            continue  # above or below the ray
        crossing = x1 + (y - y1) / (y2 - y1) * (x2 - x1)
        if x < crossing:
            is_inside = not is_inside
    return is_inside


def _contains_antimeridian_or_pole(outline: _Outline, half: float) -> bool:
    """Whether the transformed box crosses the antimeridian or contains a pole.

    Args:
        half: 180 degrees, in the unit of the target CRS.
    """
    for edge in outline.edges:
        for longitude, next_longitude in pairwise(edge.xs):
            if abs(next_longitude - longitude) > half:
                return True
    box = outline.box
    if half_turn(box.srid) is not None:
        return False
    north_pole, south_pole = half / 2, -half / 2
    poles = outline.transform_back([0.0, 0.0], [north_pole, south_pole])
    for x, y in zip(*poles, strict=True):
        if box.xmin <= x <= box.xmax and box.ymin <= y <= box.ymax:
            return True
    return False


def _reproject_with_pole(outline: _Outline, half: float) -> ReprojectedBbox | None:
    """The bounds of a box that contains a pole or crosses the antimeridian.

    Args:
        half: 180 degrees, in the unit of the target CRS.
    """
    box = outline.box
    west, south, east, north = outline.transformer.transform_bounds(
        box.xmin, box.ymin, box.xmax, box.ymax, densify_pts=_SAMPLES
    )
    if not all(map(isfinite, (west, south, east, north))):
        return None
    y_margin = _MARGIN * (north - south) + _DIFFERENCE_DEGREES
    south = max(south - y_margin, -half / 2)
    north = min(north + y_margin, half / 2)
    width = (east - west) % (2 * half) or 2 * half
    x_margin = _MARGIN * width + _DIFFERENCE_DEGREES
    if width + 2 * x_margin >= 2 * half:
        return ReprojectedBbox(((-half, south, half, north),), whole=False)
    west, east = west - x_margin, east + x_margin
    if -half <= west <= east <= half:
        return ReprojectedBbox(((west, south, east, north),), whole=False)
    west = (west + half) % (2 * half) - half
    east = (east + half) % (2 * half) - half
    before_antimeridian = (west, south, half, north)
    after_antimeridian = (-half, south, east, north)
    return ReprojectedBbox((before_antimeridian, after_antimeridian), whole=False)


def _reproject_whole(outline: _Outline) -> ReprojectedBbox:
    """A transformed box that its transformed edges enclose."""
    box = outline.box
    difference, tolerance = _DIFFERENCE_METRES, _TOLERANCE_METRES
    if half_turn(outline.target) is not None:
        difference, tolerance = _DIFFERENCE_DEGREES, _TOLERANCE_DEGREES
    xmin, ymin, xmax, ymax = _bounds_of(outline.edges)
    x_margin = _MARGIN * (xmax - xmin) + difference
    y_margin = _MARGIN * (ymax - ymin) + difference
    bottom, right, top, left = outline.edges
    inside = (
        max(left.xs) + x_margin,
        max(bottom.ys) + y_margin,
        min(right.xs) - x_margin,
        min(top.ys) - y_margin,
    )
    return ReprojectedBbox(
        bounds=((xmin - x_margin, ymin - y_margin, xmax + x_margin, ymax + y_margin),),
        inside=inside if _contains(outline, inside) else None,
        step=_length_of_pieces(outline, tolerance),
        simple=not _is_flat(box) and not _edges_may_touch(box),
    )


def _bounds_of(edges: Edges) -> Bounds:
    xmin = min(min(edge.xs) for edge in edges)
    ymin = min(min(edge.ys) for edge in edges)
    xmax = max(max(edge.xs) for edge in edges)
    ymax = max(max(edge.ys) for edge in edges)
    return xmin, ymin, xmax, ymax


def _contains(outline: _Outline, bounds: Bounds) -> bool:
    """Whether bounds that no transformed edge reaches are in the transformed box.

    As no edge reaches them, they are if their middle is.
    """
    xmin, ymin, xmax, ymax = bounds
    if xmin >= xmax or ymin >= ymax:
        return False
    (x,), (y,) = outline.transform_back(*_middle_of(bounds))
    box = outline.box
    return box.xmin < x < box.xmax and box.ymin < y < box.ymax


def _edges_may_touch(box: Bbox) -> bool:
    """Whether a box in angles is so large that its edges may touch in another CRS."""
    if half_turn(box.srid) is None:
        return False
    is_near_pole = max(-box.ymin, box.ymax) > 89
    return is_near_pole or box.width > 350


def _length_of_pieces(outline: _Outline, tolerance: float) -> float:
    """The length of pieces of an edge that are straight after the transformation."""
    box = outline.box
    bottom, right, top, left = outline.edges
    lengths = []
    if box.width > 0:
        lengths.append(box.width / _number_of_pieces(bottom, top, tolerance))
    if box.height > 0:
        lengths.append(box.height / _number_of_pieces(left, right, tolerance))
    return min(lengths, default=1.0)


def _number_of_pieces(first: Points, second: Points, tolerance: float) -> int:
    """The number of pieces of two opposite edges that deviate from the curve by the tolerance.

    A piece of half the length deviates by a quarter.
    """
    deviation = 0.0
    for edge in (first, second):
        for coordinates in edge:
            deviation = max(deviation, _deviation_from_line(coordinates))
    needed = ceil(sqrt(deviation / tolerance))
    return min(max(needed, 1), _MAX_PIECES)


def _deviation_from_line(coordinates: Sequence[float]) -> float:
    """How far the x or the y of an edge deviates from a straight line, at three points."""
    first, last = coordinates[0], coordinates[-1]
    deviation = 0.0
    for index in (_SAMPLES // 4, _SAMPLES // 2, _SAMPLES * 3 // 4):
        straight = first + (last - first) * (index / _SAMPLES)
        deviation = max(deviation, abs(coordinates[index] - straight))
    return deviation


def clip_to_domain(box: Bbox) -> Bbox:
    """A box that can be transformed to degrees.

    A box that is too large is cut to the area of use of its CRS, enlarged by its width and height
    on each side.

    Raises: InvalidParameter when nothing is left.
    """
    if all(reproject_bbox(part, WGS84) is not None for part in box.parts()):
        return box
    domain = _domain_of(box.srid)
    if domain is not None:
        xmin, ymin, xmax, ymax = domain
        clipped = replace(
            box,
            xmin=max(box.xmin, xmin),
            ymin=max(box.ymin, ymin),
            xmax=min(box.xmax, xmax),
            ymax=min(box.ymax, ymax),
        )
        is_empty = clipped.width < 0 or clipped.height < 0
        if not is_empty and reproject_bbox(clipped, WGS84) is not None:
            return clipped
    raise InvalidParameter("bbox lies where its reference system has no places", parameter="bbox")


def _domain_of(srid: Srid) -> Bounds | None:
    """Three times the width and height of the area of use of a CRS, in its unit; None if unknown.

    The area of use is in the middle.
    """
    area = area_of_use(srid)
    transformer = transformer_of(WGS84, srid)
    if area is None or transformer is None:
        return None
    xmin, ymin, xmax, ymax = transformer.transform_bounds(*area, densify_pts=_SAMPLES)
    if not all(map(isfinite, (xmin, ymin, xmax, ymax))):
        return None
    width, height = xmax - xmin, ymax - ymin
    return xmin - width, ymin - height, xmax + width, ymax + height


def srid_or_wgs84(srid: Srid) -> Srid:
    """The SRID of a column; WGS 84 for a column without one, whose values are taken as degrees."""
    return WGS84 if srid == UNKNOWN else srid
