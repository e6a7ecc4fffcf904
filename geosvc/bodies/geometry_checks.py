"""Checks of many geometries at a time: coordinates, type, heights, validity.

A check adds a fault for each geometry that cannot be stored, and a repair for each one that it
changed on request.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geosvc.bodies.geometry_faults import MIXED_HEIGHTS, Fault, describe_invalidity, find_fault
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import Crs, half_turn

Shapes = NDArray[np.object_]

_TYPES = (  # by GEOS's type number
    "POINT",
    "LINESTRING",
    "LINEARRING",
    "POLYGON",
    "MULTIPOINT",
    "MULTILINESTRING",
    "MULTIPOLYGON",
    "GEOMETRYCOLLECTION",
)
_CODES = {name: code for code, name in enumerate(_TYPES)}
_MISSING = -1  # the type number of None
_ALWAYS_VALID = (_CODES["POINT"], _CODES["MULTIPOINT"], _MISSING)
_SINGLE_OF = {"MULTIPOINT": "POINT", "MULTILINESTRING": "LINESTRING", "MULTIPOLYGON": "POLYGON"}
_COLLECT: dict[str, Callable[..., Any]] = {
    "MULTIPOINT": shapely.multipoints,
    "MULTILINESTRING": shapely.multilinestrings,
    "MULTIPOLYGON": shapely.multipolygons,
}
_EMPTY = {  # the functions above fail without a member
    "MULTIPOINT": shapely.MultiPoint(),
    "MULTILINESTRING": shapely.MultiLineString(),
    "MULTIPOLYGON": shapely.MultiPolygon(),
}
_DIMENSION = {
    "POINT": 0,
    "MULTIPOINT": 0,
    "LINESTRING": 1,
    "MULTILINESTRING": 1,
    "POLYGON": 2,
    "MULTIPOLYGON": 2,
}


@dataclass(slots=True)
class GeometryBatch:
    """Geometries that are checked together.

    Attributes:
        shapes: the geometries; None for one that GEOS cannot read.
        indexes: of each, its index in the request.
        faults: by index, what is wrong with a geometry that cannot be stored.
        repairs: by index, what was changed in a geometry.
    """

    shapes: Shapes
    indexes: list[int]
    faults: dict[int, Fault] = field(default_factory=dict)
    repairs: dict[int, str] = field(default_factory=dict)

    def add_fault(self, number: int | np.intp, detail: str, pointer: str = "") -> None:
        """Adds a fault of the geometry with this number, unless it has one."""
        self.faults.setdefault(self.indexes[number], Fault(detail, pointer))


def explain_unreadable(batch: GeometryBatch, texts: Sequence[bytes]) -> None:
    """Adds a fault for each geometry that GEOS could not read.

    Args:
        texts: the GeoJSON of the request, by index.
    """
    for number in np.flatnonzero(shapely.is_missing(batch.shapes)):
        index = batch.indexes[number]
        batch.faults[index] = find_fault(texts[index])


def check_coordinates(batch: GeometryBatch, crs: Crs, max_vertices: int) -> None:
    """Adds a fault for a coordinate that is not finite or not on Earth, or too many positions.

    Args:
        crs: of the coordinates as they were posted; the shapes have x before y.
    """
    shapes = batch.shapes
    infinite = not_finite(shapes)
    for number in np.flatnonzero(infinite):
        if _mixes_heights(shapes[number]):
            detail = MIXED_HEIGHTS
        else:
            detail = "has a coordinate that is not a finite number"
        batch.add_fault(number, detail, "/coordinates")
    half = half_turn(crs.srid)
    if half is not None:
        limits = (half, half / 2, half, half / 2)
        distances = np.abs(shapely.bounds(shapes))
        beyond = (distances > limits).any(axis=1)
        for number in np.flatnonzero(beyond & ~infinite):
            batch.add_fault(number, _beyond_earth(crs, half), "/coordinates")
    for number in np.flatnonzero(shapely.get_num_coordinates(shapes) > max_vertices):
        batch.add_fault(number, f"has more than {max_vertices} positions")


def not_finite(shapes: Shapes) -> NDArray[np.bool_]:
    """Which shapes have a coordinate, or a height, that is not a finite number."""
    coordinates, owners = shapely.get_coordinates(shapes, include_z=True, return_index=True)
    has_z = shapely.has_z(shapes)[owners]
    wrong_position = ~np.isfinite(coordinates[:, :2]).all(axis=1)
    wrong_height = ~np.isfinite(coordinates[:, 2]) & has_z
    wrong = np.zeros(len(shapes), dtype=bool)
    wrong[owners[wrong_position | wrong_height]] = True
    return wrong


def _mixes_heights(shape: shapely.Geometry) -> bool:
    """Whether some positions have a height and others none: JSON has no NaN."""
    heights = shapely.get_coordinates(shape, include_z=True)[:, 2]
    return bool(shapely.has_z(shape) and np.isnan(heights).any())


def _beyond_earth(crs: Crs, half: float) -> str:
    order = "latitude, longitude" if crs.has_y_first else "longitude, latitude"
    unit = "degrees" if half == 180 else "grads"
    return (
        f"has a longitude beyond {half:g} or a latitude beyond {half / 2:g} {unit}; "
        f"positions are {order}"
    )


def fit_type(batch: GeometryBatch, column: GeometryColumn) -> None:
    """Makes single geometries multi ones where the column takes those.

    Adds a fault for each geometry of a type that the column does not take.
    """
    if column.type == "GEOMETRY" or column.type not in _CODES:
        return
    codes = shapely.get_type_id(batch.shapes)
    single_type = _SINGLE_OF.get(column.type)
    if single_type is not None:
        singles = np.flatnonzero(codes == _CODES[single_type])
        if len(singles):
            batch.shapes = batch.shapes.copy()
            batch.shapes[singles] = promote(batch.shapes[singles], column.type)
            codes = shapely.get_type_id(batch.shapes)
    wrong = (codes != _CODES[column.type]) & (codes != _MISSING)
    for number in np.flatnonzero(wrong):
        detail = f"is a {_TYPES[codes[number]]}, and {column.name} takes {column.type}"
        batch.add_fault(number, detail, "/type")


def promote(shapes: Shapes, multi_type: str) -> Any:
    """Single geometries as multi geometries: with one member, or none for an empty geometry.

    Args:
        multi_type: MULTIPOINT, MULTILINESTRING or MULTIPOLYGON.
    """
    collect = _COLLECT[multi_type]
    if not shapely.is_empty(shapes).any():
        return collect(shapes, indices=np.arange(len(shapes)))
    promoted = []
    for shape in shapes:
        promoted.append(_EMPTY[multi_type] if shape.is_empty else collect([shape]))
    return np.array(promoted, dtype=object)


def fit_dimension(batch: GeometryBatch, column: GeometryColumn, *, repair: bool) -> None:
    """Adds or removes heights where the column requires that, or adds a fault."""
    has_no_positions = shapely.is_missing(batch.shapes) | shapely.is_empty(batch.shapes)
    differs = shapely.has_z(batch.shapes) != column.has_z
    wrong = differs & ~has_no_positions
    numbers = np.flatnonzero(wrong)
    if not len(numbers):
        return
    if not repair:
        detail = f"has heights, and {column.name} takes none"
        if column.has_z:
            detail = f"has no heights, and {column.name} needs them"
        for number in numbers:
            batch.add_fault(number, detail, "/coordinates")
        return
    force, change = shapely.force_2d, "heights were removed"
    if column.has_z:
        force, change = shapely.force_3d, "heights of 0 were added"
    batch.shapes = batch.shapes.copy()
    batch.shapes[wrong] = force(batch.shapes[wrong])
    for number in numbers:
        batch.repairs[batch.indexes[number]] = change


def check_validity(batch: GeometryBatch, column: GeometryColumn, *, repair: bool) -> None:
    """Repairs geometries that are not valid, such as those that cross themselves, or adds a fault.

    Points are always valid.
    """
    faulty = np.array([index in batch.faults for index in batch.indexes])
    always_valid = np.isin(shapely.get_type_id(batch.shapes), _ALWAYS_VALID)
    numbers = np.flatnonzero(~always_valid & ~faulty)
    invalid = numbers[~shapely.is_valid(batch.shapes[numbers])]
    if not len(invalid):
        return
    shapes = batch.shapes.copy()
    for number in invalid:
        reason = describe_invalidity(shapely.is_valid_reason(shapes[number]))
        repaired = _make_valid(shapes[number], column) if repair else None
        if repaired is None:
            batch.add_fault(number, reason, "/coordinates")
        else:
            shapes[number] = repaired
            batch.repairs[batch.indexes[number]] = f"{reason}: made valid"
    batch.shapes = shapes


def _make_valid(shape: shapely.Geometry, column: GeometryColumn) -> shapely.Geometry | None:
    """A valid geometry of the column's type that covers the same; None where there is none."""
    valid = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    dimension = _DIMENSION.get(column.type)
    if dimension is None:  # the column takes any type
        return None if valid.is_empty else valid
    parts = shapely.get_parts(valid)
    has_dimension = shapely.get_dimensions(parts) == dimension
    parts = parts[has_dimension & ~shapely.is_empty(parts)]
    if not len(parts):
        return None
    if column.type in _COLLECT:
        collected: shapely.Geometry = _COLLECT[column.type](parts)
        return collected
    if len(parts) > 1:
        return None
    part: shapely.Geometry = parts[0]
    return part
