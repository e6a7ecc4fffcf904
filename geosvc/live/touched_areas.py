"""Remembers where a published table was changed, and when, so that an answer about an area stays
valid while changes are elsewhere (docs/decisions/0047). Pure.

When means the number of a read of the change log, its position. The plane of the storage CRS is
divided into cells of 16 sizes; a change touches the cells of each size that its boxes cover. An
area is looked up in the cells that are about as large as it is.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import floor, isfinite

from geosvc.model.bounds import Bounds

LEVELS = 16
MAX_CELLS = 100_000  # of one table; then everything counts as touched
_MOST_OF_A_BOX = 16  # cells of one size; a larger box touches all cells of that size
_MOST_OF_AREA = 16

_GridCell = tuple[int, int]

AreaCells = tuple[tuple[int, tuple[_GridCell, ...] | None], ...]
"""(size, the cells of this size) of each part of an area; None: all cells of the size."""


def cells_of(areas: Iterable[Bounds], largest: float) -> AreaCells:
    """The cells in which an area is looked up: the smallest of which a few cover it.

    Args:
        largest: the width of the largest cells, in units of the storage CRS.
    """
    return tuple(_cells_of_part(area, largest) for area in areas)


def _cells_of_part(area: Bounds, largest: float) -> tuple[int, tuple[_GridCell, ...] | None]:
    for level in reversed(range(LEVELS)):
        covered = _covered(area, largest / 2**level, _MOST_OF_AREA)
        if covered is not None:
            return level, tuple(covered)
    return 0, None


class TouchedAreas:
    """Where one table was changed.

    Args:
        largest: the width of the largest cells, in units of the storage CRS.
        position: before it, everything counts as touched.
    """

    def __init__(self, largest: float, position: int) -> None:
        self._sizes = [largest / 2**level for level in range(LEVELS)]
        self._begin(position)

    def _begin(self, position: int) -> None:
        self._floor = position
        self._cells: list[dict[_GridCell, int]] = [{} for _ in range(LEVELS)]
        self._whole_levels = [position] * LEVELS
        self._number = 0

    def touch(self, boxes: Sequence[Bounds] | None, position: int) -> None:
        """Notes changes.

        Args:
            boxes: of the changed features, before and after; None where they are not known.
            position: of the read that found them.
        """
        if boxes is None or self._number > MAX_CELLS:
            self._begin(position)
            return
        for box in boxes:
            self._touch_box(box, position)

    def _touch_box(self, box: Bounds, position: int) -> None:
        for level, size in enumerate(self._sizes):
            covered = _covered(box, size, _MOST_OF_A_BOX)
            if covered is None:
                self._whole_levels[level] = position
                continue
            cells = self._cells[level]
            for cell in covered:
                if cell not in cells:
                    self._number += 1
                cells[cell] = position

    def last_touch(self, area: AreaCells) -> int:
        """The position of the last change that may have touched an area."""
        latest = self._floor
        for level, covered in area:
            cells = self._cells[level]
            latest = max(latest, self._whole_levels[level])
            for cell in cells if covered is None else covered:
                latest = max(latest, cells.get(cell, 0))
        return latest


def _covered(box: Bounds, size: float, most: int) -> list[_GridCell] | None:
    """The cells of a size that a box covers; None where they are too many."""
    if not all(map(isfinite, box)):
        return None
    west, south, east, north = (floor(side / size) for side in box)
    if (east - west + 1) * (north - south + 1) > most:
        return None
    return list(_cells(west, south, east, north))


def _cells(west: int, south: int, east: int, north: int) -> Iterator[_GridCell]:
    for column in range(west, east + 1):
        for row in range(south, north + 1):
            yield column, row
