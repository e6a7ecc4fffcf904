"""The tables of the benchmarks, and boxes that hold a full page."""

import asyncio
from pathlib import Path

import asyncpg
from rich.progress import Progress

from geosvc.commands.samples import load_samples
from geosvc.settings import Settings

COLLECTION = "buildings_bench"
TENFOLD = "buildings_bench_tenfold"
THOUSAND_SCHEMA = "bench_thousand"
ROWS = 140_000
_VERSION = "benchmarks: version 1"
_FOLDER = Path(__file__).parent


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
