"""At which position of the change log an area of a published table was changed last.

A position is the number of a read of the log that found changes. An answer that was made at a
position is still right if nothing has touched its area since (docs/decisions/0047). Pure.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geosvc.live.touched_areas import AreaCells, TouchedAreas, cells_of
from geosvc.model.bounds import Bounds

MAX_VERSIONS = 16_384
MAX_BOXES = 1_000  # of one read; with more, everything counts as touched


@dataclass(frozen=True, slots=True)
class AnswerArea:
    """What an answer covers of a table.

    Attributes:
        cells: by `cells_of`; None: the answer may be anywhere.
        world: the width of the world in units of the storage CRS.
    """

    cells: AreaCells | None
    world: float


def answer_area(bounds: Sequence[Bounds] | None, world: float = 360.0) -> AnswerArea:
    """The area of an answer that is within some bounds in the storage CRS.

    Args:
        bounds: None: the answer may be anywhere.
    """
    return AnswerArea(None if bounds is None else cells_of(bounds, world), world)


class AreaVersions:
    """The positions of the versions and of the areas of all published tables."""

    def __init__(self) -> None:
        self._position = 0
        self._floor = 0
        self._tables: dict[int, TouchedAreas] = {}
        self._positions: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._last_changes: dict[int, int] = {}

    def forget(self) -> None:
        """Forgets everything, since the log does not tell what has changed."""
        self._position += 1
        self._floor = self._position
        self._tables.clear()
        self._positions.clear()
        self._last_changes.clear()

    def apply(self, boxes: Mapping[int, Sequence[Bounds] | None]) -> None:
        """Notes what a read has found.

        Args:
            boxes: by publication that has changed, the boxes of the features before and after.
        """
        if not boxes:
            return
        self._position += 1
        for publication, of_table in boxes.items():
            self._last_changes[publication] = self._position
            table = self._tables.get(publication)
            if table is None:
                continue
            too_many = of_table is not None and len(of_table) > MAX_BOXES
            table.touch(None if too_many else of_table, self._position)

    def now(self, publication: int, version: int, area: AnswerArea) -> int:
        """Returns the position, and remembers that a table has this version there.

        From now on the changes of the table are noted by their areas.
        """
        if publication not in self._tables:
            last = self._last_changes.get(publication, 0)
            self._tables[publication] = TouchedAreas(area.world, last)
        key = (publication, version)
        known = self._positions.get(key)
        if known is not None:
            return known
        self._positions[key] = self._position
        if len(self._positions) > MAX_VERSIONS:
            self._positions.popitem(last=False)
        return self._position

    def position_of(self, publication: int, version: int) -> int | None:
        """Returns the position at which a table had a version; None where it is not known."""
        return self._positions.get((publication, version))

    def is_untouched(self, publication: int, area: AnswerArea, since: int) -> bool:
        """Whether no change after a position may have touched an area."""
        if since < self._floor:
            return False
        if self._last_changes.get(publication, 0) <= since:
            return True
        table = self._tables.get(publication)
        if table is None or area.cells is None:
            return False
        return table.last_touch(area.cells) <= since
