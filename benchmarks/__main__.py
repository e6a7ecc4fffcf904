"""`python -m benchmarks`: measures, prints a table, and writes JSON if asked to.

It judges nothing, unless `--gate` asks for it: whatever was measured, the exit status is 0.
"""

import asyncio
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from time import perf_counter

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from benchmarks import (
    bulk,
    cache,
    comparison,
    export,
    filters,
    item,
    live,
    nearest,
    page,
    post,
    small,
    start,
    telemetry,
    tiles,
)
from benchmarks.arena import Arena
from benchmarks.boxes import find_boxes
from benchmarks.contest import QUICK, THOROUGH, Effort
from benchmarks.data import make_data
from benchmarks.gate import find_falls, keep_ratios, merge, read_kept, write_kept
from benchmarks.place import bench_cluster, bench_database
from benchmarks.plans import make_planner
from benchmarks.programs import check_programs
from benchmarks.results import Report, Result, print_table, write_json
from benchmarks.surroundings import describe_surroundings
from geosvc.errors import StartError

BENCHMARKS: Mapping[str, Callable[[Arena], list[Result]]] = {
    "page": page.run,
    "export": export.run,
    "item": item.run,
    "peers": comparison.run,
    "small": small.run,
    "telemetry": telemetry.run,
    "start": start.run,
    "bulk": bulk.run,
    "post": post.run,
    "nearest": nearest.run,
    "filter": filters.run,
    "live": live.run,
    "cache": cache.run,
    "tiles": tiles.run,
}
# two minutes in all; the others can be named
OF_A_QUICK_RUN = ("page", "export", "peers", "small", "start", "post")
_WIDTH = 200
console = Console(stderr=True, highlight=False)


def wide_console() -> Console:
    """Standard output; a pipe or a file is as wide as the table, not 80 columns."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)


async def prepare(url: str, effort: Effort) -> Arena:
    """The tables, boxes and plans."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), console=console, transient=True
    ) as progress:
        await make_data(url, progress)
    return Arena(
        url,
        await make_planner(url),
        await find_boxes(url),
        effort,
        lambda text: console.print(f"[dim]{text}[/dim]"),
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option(
    "--quick",
    is_flag=True,
    help="One short round of some benchmarks: two minutes, less to be trusted.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the numbers here, too.",
)
@click.option(
    "--remove", is_flag=True, help="Remove the private cluster with its data, and measure nothing."
)
@click.option(
    "--gate",
    is_flag=True,
    help="Exit status 1 when a ratio is worse than benchmarks/kept.json allows.",
)
@click.option("--keep", is_flag=True, help="Write the ratios into benchmarks/kept.json.")
def main(
    names: tuple[str, ...],
    quick: bool,
    json_file: Path | None,
    remove: bool,
    gate: bool,
    keep: bool,
) -> None:
    """Measures geosvc against limits and peers: all benchmarks, unless some are NAMED."""
    try:
        if remove:
            bench_cluster().remove()
            return
        chosen = names or (OF_A_QUICK_RUN if quick else tuple(BENCHMARKS))
        report = measure(chosen, QUICK if quick else THOROUGH)
    except StartError as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(1)
    print_table(report.results, wide_console())
    if json_file is not None:
        write_json(report, json_file)
    if keep:
        write_kept(merge(read_kept(), keep_ratios(report.results)))
    if gate:
        # a quick run measures less
        check_gate(report.results, () if quick else chosen)


def check_gate(results: Sequence[Result], wanted: Collection[str]) -> None:
    """Tells which ratios are worse than the kept ones, and ends the program when some are."""
    falls = list(find_falls(read_kept(), results, wanted))
    for fall in falls:
        console.print(f"[red]{escape(fall)}[/red]", soft_wrap=True)
    if falls:
        sys.exit(1)
    console.print("no ratio is worse than benchmarks/kept.json allows")


def measure(names: tuple[str, ...], effort: Effort) -> Report:
    """The results of some benchmarks, in the order they were asked for.

    One that cannot be measured is reported and left out.

    Raises: StartError when nothing can be measured.
    """
    check_programs()
    results: list[Result] = []
    with bench_database() as url:
        arena = asyncio.run(prepare(url, effort))
        for name in names:
            arena.say(f"{name} …")
            started = perf_counter()
            try:
                results += BENCHMARKS[name](arena)
            except StartError as error:
                # what the others have measured is not lost
                console.print(f"[red]{name}: {error}[/red]")
            arena.say(f"{name}: {perf_counter() - started:.0f} s")
        return Report(describe_surroundings(url), results)


if __name__ == "__main__":
    main()
