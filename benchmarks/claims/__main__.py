"""`python -m benchmarks.claims`: measures what is said of the field, and writes it down."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks.__main__ import console, prepare
from benchmarks.arena import Arena
from benchmarks.claims.catalogue import CLAIMS
from benchmarks.claims.machine import write_machine
from benchmarks.claims.tables import replace_block, write_table
from benchmarks.claims.turns import Table
from benchmarks.contest import Effort
from benchmarks.place import bench_database
from benchmarks.programs import check_programs
from benchmarks.surroundings import describe_surroundings
from geosvc.errors import StartError

PAGE = Path(__file__).parents[2] / "docs/claims.md"
MACHINE = "machine"
_THOROUGH = Effort(seconds=2, rounds=5)
_QUICK = Effort(seconds=1, rounds=1)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice([claim.name for claim in CLAIMS]))
@click.option("--quick", is_flag=True, help="One short round of each, and less to be trusted.")
@click.option("--write", is_flag=True, help="Write the tables into docs/claims.md.")
def main(names: tuple[str, ...], quick: bool, write: bool) -> None:
    """Measures what is said of the field: all claims, unless some are NAMED."""
    try:
        check_programs()
        with bench_database() as url:
            arena = asyncio.run(prepare(url, _QUICK if quick else _THOROUGH))
            blocks = measure(arena, names, write)
    except StartError as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(1)
    for name, text in blocks.items():
        sys.stdout.write(f"{name}\n\n{text}\n\n")


def measure(arena: Arena, names: Sequence[str], write: bool) -> Mapping[str, str]:
    """The text of each claim's block, and of the machine's.

    Args:
        write: writes each into the page as soon as it is measured.
    Raises: StartError.
    """
    blocks: dict[str, str] = {}
    for claim in CLAIMS:
        if names and claim.name not in names:
            continue
        arena.say(f"{claim.title} …")
        blocks[claim.name] = _write_tables(claim.measure(arena), arena.effort)
        if write:
            _write_block(claim.name, blocks[claim.name])
    blocks[MACHINE] = write_machine(describe_surroundings(arena.url))
    if write:
        _write_block(MACHINE, blocks[MACHINE])
    return blocks


def _write_tables(tables: Sequence[Table], effort: Effort) -> str:
    written = [write_table(table) for table in tables]
    today = datetime.now(UTC).date()
    return "\n\n".join((*written, f"Measured {today}: median (least to most) of {effort.rounds}."))


def _write_block(name: str, text: str) -> None:
    PAGE.write_text(replace_block(PAGE.read_text("utf-8"), name, text), "utf-8")


if __name__ == "__main__":
    main()
