"""The sample data of the demo and the tests: loaded all or nothing, with a progress bar."""

import asyncio
import csv
import gzip
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from geosvc.database.copy import loading
from geosvc.errors import StartError
from geosvc.settings import Settings

TABLES = ("countries", "cities", "buildings", "streets")
SKETCHES = "sketches"
CHUNK_BYTES = 1 << 18
_PACKAGE = Path(__file__).parent.parent


def samples_folder() -> Path:
    """The folder of the files: in the package of a wheel, beside the package in a checkout.

    Raises: StartError.
    """
    for folder in (_PACKAGE / "sample_data", _PACKAGE.parent / "fixtures"):
        if (folder / "sample.sql").is_file():
            return folder
    raise StartError("the installation is incomplete: it has no sample data")


def _path(table: str) -> Path:
    return samples_folder() / f"{table}.csv.gz"


def _columns(table: str) -> list[str]:
    with gzip.open(_path(table), "rt", encoding="utf-8", newline="") as lines:
        return next(csv.reader(lines))


async def _chunks(table: str, advance: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The CSV in pieces; `advance` is called with the compressed bytes of each."""
    compressed = io.BytesIO(_path(table).read_bytes())
    with gzip.open(compressed) as lines:
        done = 0
        while chunk := lines.read(CHUNK_BYTES):
            yield chunk
            advance(compressed.tell() - done)
            done = compressed.tell()


async def load_samples(settings: Settings, url: str, progress: Progress | None = None) -> bool:
    """Creates and fills the four sample tables in one transaction.

    Returns: False when they existed already.
    Raises: StartError.
    """
    async with loading(settings, url) as database:
        if await database.has_table("public.countries"):
            return False
        await database.run_script((samples_folder() / "sample.sql").read_text("utf-8"))
        for table in TABLES:
            advance = _advancing(progress, table)
            await database.copy_csv(table, _columns(table), _chunks(table, advance))
        await database.run_script("ANALYZE countries, cities, buildings, streets")
    return True


def _ignore(_: int) -> None:
    """Does nothing."""


def _advancing(progress: Progress | None, table: str) -> Callable[[int], None]:
    """Adds a task for a table. Returns: a function that advances it by a number of bytes."""
    if progress is None:
        return _ignore
    task = progress.add_task(table, total=_path(table).stat().st_size)

    def advance(amount: int) -> None:
        progress.update(task, advance=amount)

    return advance


async def make_sketches(settings: Settings, url: str) -> None:
    """Creates the table of the examples of writing, unless it exists. Raises: StartError."""
    async with loading(settings, url) as database:
        await database.run_script((samples_folder() / "sketches.sql").read_text("utf-8"))


def load_with_progress(settings: Settings, url: str) -> bool:
    """`load_samples` with a progress bar. Returns: whether anything was loaded."""
    with Progress(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        transient=False,
    ) as progress:
        return asyncio.run(load_samples(settings, url, progress))
