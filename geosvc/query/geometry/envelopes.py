"""Boxes as polygons in SQL."""

from geosvc.model.bbox import Bbox
from geosvc.model.crs import WGS84, Srid, half_turn
from geosvc.query.sql_parts import comma_list
from geosvc.sql.compose import SQL, Composed, Param

EDGE_PARTS = 32
"""How many pieces the longest side is cut into before a box or a geometry is transformed."""
_MIN_STEP = 1e-6


def envelope(box: Bbox, shift: float = 0.0) -> Composed:
    """Write a box as a polygon.

    Args:
        shift: is added to xmin and xmax.
    """
    corners = comma_list(
        [
            Param(box.xmin + shift, "float8"),
            Param(box.ymin, "float8"),
            Param(box.xmax + shift, "float8"),
            Param(box.ymax, "float8"),
        ]
    )
    if box.srid == WGS84:
        return SQL("ST_MakeEnvelope({}, 4326)").format(corners)
    srid = Param(int(box.srid), "int4")
    return SQL("ST_MakeEnvelope({}, {})").format(corners, srid)


def curved_envelope(box: Bbox) -> Composed:
    """Write a box with points along its edges, which are curves in another CRS or on the sphere."""
    longest = max(box.xmax - box.xmin, box.ymax - box.ymin)
    step = max(longest / EDGE_PARTS, _MIN_STEP)
    return SQL("ST_Segmentize({polygon}, {step})").format(
        polygon=envelope(box),
        step=Param(step, "float8"),
    )


def longitude_shifts(
    srid: Srid,
    west: float,
    east: float,
) -> list[float]:
    """Return what to add to longitudes to find all stored geometries of a box.

    Longitudes may be stored beyond 180 degrees on either side, as is usual around the Pacific.

    Args:
        west, east: the sides of the box in units of the CRS.
    """
    shifts = [0.0]
    half = half_turn(srid)
    if half is None:
        return shifts
    if west < 0:
        shifts.append(2 * half)
    if east > half / 2:
        shifts.append(-2 * half)
    return shifts
