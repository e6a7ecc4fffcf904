"""Boxes that hold so many buildings: the same ones every time, of different sizes and shapes."""

from dataclasses import dataclass
from random import Random

import asyncpg

from benchmarks.data import COLLECTION

PAGE_ROWS = 1_000
_PAGES = 100
_MOST_IN_BOX = 2_500
_DENSE = (24.935, 60.164, 25.235, 60.340)  # where the copies of Helsinki are, degrees
_SPARSE = (26.930, 60.520, 27.150, 60.580)  # those of Kotka
_BOX = "ST_MakeEnvelope($1, $2, $3, $4, 4326)"
_COUNT = f"""
SELECT count(*), count(*) FILTER (WHERE ST_Intersects(geom, {_BOX}))
FROM {COLLECTION} WHERE geom && {_BOX}
"""


@dataclass(frozen=True, slots=True)
class Box:
    """Corners in degrees, CRS84."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float

    def __str__(self) -> str:
        """As the parameter bbox takes it."""
        return f"{self.xmin},{self.ymin},{self.xmax},{self.ymax}"


async def find_boxes(url: str) -> list[Box]:
    """A hundred boxes, each with more than a page of buildings."""
    chosen = Random(4326)
    found: list[Box] = []
    connection = await asyncpg.connect(url)
    try:
        while len(found) < _PAGES:
            area = _DENSE if chosen.random() < 0.7 else _SPARSE
            box = random_box(chosen, area, 0.03)
            touched, _ = await _count(connection, box)
            if PAGE_ROWS * 1.05 <= touched <= _MOST_IN_BOX:
                found.append(box)
    finally:
        await connection.close()
    return found


async def find_small_boxes(url: str, wanted: int) -> list[Box]:
    """So many boxes of 40 to 100 buildings. A building is in its box, or its own box is outside:
    services that compare only boxes find the same.
    """
    chosen = Random(100)
    found: list[Box] = []
    connection = await asyncpg.connect(url)
    try:
        while len(found) < wanted:
            box = random_box(chosen, _DENSE, 0.006)
            touched, inside = await _count(connection, box)
            if 40 <= touched <= 100 and touched == inside:
                found.append(box)
    finally:
        await connection.close()
    return found


async def _count(connection: asyncpg.Connection, box: Box) -> tuple[int, int]:
    """Buildings whose box touches this box, and those that do themselves."""
    row = await connection.fetchrow(_COUNT, box.xmin, box.ymin, box.xmax, box.ymax)
    assert row is not None
    return row[0], row[1]


def random_box(chosen: Random, area: tuple[float, float, float, float], across: float) -> Box:
    """A box inside `area` (xmin, ymin, xmax, ymax; degrees) whose width is about `across`."""
    width, height = chosen.uniform(across / 2, across * 1.5), chosen.uniform(across / 4, across)
    xmin, ymin = chosen.uniform(area[0], area[2] - width), chosen.uniform(area[1], area[3] - height)
    return Box(round(xmin, 6), round(ymin, 6), round(xmin + width, 6), round(ymin + height, 6))
