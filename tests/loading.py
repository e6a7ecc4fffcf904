"""How tests load files: the command, and what it made."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
from click.testing import CliRunner

from geosvc.cli import main


def load(url: str, *arguments: str | Path, status: int = 0) -> str:
    """Runs the command. Returns: what it prints, without its bars."""
    words = ["load", *map(str, arguments), "--database-url", url]
    if "--collection" not in words:
        words += ["--collection", "loaded"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == status, (result.output, result.exception)
    return result.output


def refused(url: str, *arguments: str | Path) -> str:
    """The one line that a load is refused with; nothing is there of it."""
    output = load(url, *arguments, status=1)
    lines = [line for line in output.splitlines() if line.startswith("geosvc: ")]
    assert len(lines) == 1, output
    assert "Traceback" not in output
    return lines[0].removeprefix("geosvc: ")


def ask(url: str, sql: str) -> list[Any]:
    """The rows of a query."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            if sql.lstrip().startswith("SELECT"):
                return [tuple(row) for row in await connection.fetch(sql)]
            await connection.execute(sql)
            return []
        finally:
            await connection.close()

    return asyncio.run(run())


def columns(url: str, table: str = "loaded") -> dict[str, str]:
    """Names and types of the columns that the files gave."""
    found = ask(
        url,
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        f" WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum",
    )
    return {str(name): str(kind) for name, kind in found if name not in ("id", "geom")}


def exists(url: str, table: str = "loaded") -> bool:
    """Whether there is a table."""
    return bool(ask(url, f"SELECT to_regclass('{table}') IS NOT NULL")[0][0])
