"""The tables of the benchmarks, and boxes that hold a full page."""

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from rich.progress import Progress

from geosvc.commands.samples import load_samples
from geosvc.settings import Settings

COLLECTION = "buildings_bench"
TENFOLD = "buildings_bench_tenfold"
THOUSAND_SCHEMA = "bench_thousand"
ROWS = 140_000
PAGE_ROWS = 1_000
BOXES = 100
_MOST_IN_BOX = 2_500
_VERSION = "benchmarks: version 1"
_FOLDER = Path(__file__).parent
_DENSE = (24.935, 60.164, 25.235, 60.340)  # where the copies of Helsinki are, degrees
_SPARSE = (26.930, 60.520, 27.150, 60.580)  # those of Kotka


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


def run_sql(url: str, sql: str) -> None:
    """Runs statements, one at a time."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in filter(None, map(str.strip, sql.split(";"))):
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def count_rows(url: str, table: str) -> int:
    """The rows of a table of the benchmarks' own."""

    async def run() -> int:
        connection = await asyncpg.connect(url)
        try:
            return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
        finally:
            await connection.close()

    return asyncio.run(run())


async def make_data(url: str, progress: Progress) -> None:
    """Makes the tables that are missing, and those of an older version anew; half a minute the
    first time.
    """
    await load_samples(Settings(), url, progress)
    connection = await asyncpg.connect(url)
    try:
        made = await connection.fetchval(
            "SELECT obj_description(to_regclass($1), 'pg_class')", f"public.{COLLECTION}"
        )
        if made == _VERSION:
            return
        task = progress.add_task("the benchmarks' tables", total=3)
        for script in ("tables.sql", "thousand.sql"):
            await _run_script(connection, script)
            progress.advance(task)
        await connection.execute(f"VACUUM ANALYZE public.{COLLECTION}")
        await connection.execute(f"COMMENT ON TABLE public.{COLLECTION} IS '{_VERSION}'")
        progress.advance(task)
    finally:
        await connection.close()


async def _run_script(connection: asyncpg.Connection, name: str) -> None:
    """A statement at a time, since one that commits must not stand in a transaction; `;` ends a
    line's statement.
    """
    statement = ""
    for line in (_FOLDER / name).read_text("utf-8").splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";") and statement.count("$$") % 2 == 0:
            await connection.execute(statement)
            statement = ""


async def find_boxes(url: str) -> list[Box]:
    """The same boxes every time, of different sizes and shapes, each with more than a page of
    buildings.
    """
    chosen = random.Random(4326)
    found: list[Box] = []
    connection = await asyncpg.connect(url)
    try:
        while len(found) < BOXES:
            area, across = (_DENSE, 0.03) if chosen.random() < 0.7 else (_SPARSE, 0.03)
            box = _random_box(chosen, area, across)
            count = await connection.fetchval(
                f"SELECT count(*) FROM {COLLECTION} WHERE geom && ST_MakeEnvelope($1, $2, $3, $4,"
                " 4326)",
                *(box.xmin, box.ymin, box.xmax, box.ymax),
            )
            if PAGE_ROWS * 1.05 <= count <= _MOST_IN_BOX:
                found.append(box)
    finally:
        await connection.close()
    return found


def _random_box(
    chosen: random.Random, area: tuple[float, float, float, float], across: float
) -> Box:
    width, height = chosen.uniform(across / 2, across * 1.5), chosen.uniform(across / 4, across)
    xmin, ymin = chosen.uniform(area[0], area[2] - width), chosen.uniform(area[1], area[3] - height)
    return Box(round(xmin, 6), round(ymin, 6), round(xmin + width, 6), round(ymin + height, 6))
