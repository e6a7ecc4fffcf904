"""Pages of 1,000 polygons in a box, for 16 clients."""

import re

from benchmarks.arena import CLIENTS, Arena
from benchmarks.boxes import PAGE_ROWS
from benchmarks.contest import compete
from benchmarks.data import COLLECTION
from benchmarks.download import download
from benchmarks.literals import pgbench_script
from benchmarks.pgbench import Sessions, measure_pgbench
from benchmarks.results import Result, Target
from benchmarks.servers import empty_server, geosvc_server
from benchmarks.wrk import measure_wrk
from geosvc.errors import StartError

TARGET = Target(0.55)
_RETURNED = re.compile(rb'"numberReturned":(\d+)')


def _check_pages(url: str, paths: list[str]) -> int:
    """The bytes of an average page. Raises: StartError when a page is not full."""
    total = 0
    for path in paths:
        page = download(url + path)
        returned = _RETURNED.search(page.end)
        if returned is None or int(returned[1]) != PAGE_ROWS:
            raise StartError(f"{path} is no full page")
        total += page.size_bytes
    return total // len(paths)


def run(arena: Arena) -> list[Result]:
    """Requests a second against the same SQL in pgbench, and against aiohttp sending as many
    bytes.
    """
    paths = [f"/collections/{COLLECTION}/items?bbox={box}&limit={PAGE_ROWS}" for box in arena.boxes]
    scripts = [
        pgbench_script(arena.planner.page(COLLECTION, str(box), PAGE_ROWS)) for box in arena.boxes
    ]
    sessions = Sessions(arena.url, arena.planner.session, CLIENTS)
    with geosvc_server(arena.url) as server:
        page_bytes = _check_pages(server.url, paths)
        with empty_server(page_bytes) as empty:
            uncounted = [f"{path}&count=none" for path in paths]
            rates = compete(
                {
                    "geosvc": lambda seconds: measure_wrk(server.url, paths, CLIENTS, seconds).rate,
                    "pgbench": lambda seconds: measure_pgbench(
                        sessions, scripts, seconds, "extended"
                    ),
                    "uncounted": lambda seconds: (
                        measure_wrk(server.url, uncounted, CLIENTS, seconds).rate
                    ),
                    "empty": lambda seconds: measure_wrk(empty.url, ["/"], CLIENTS, seconds).rate,
                },
                arena.effort,
            )
    what = f"1,000 polygons, {page_bytes / 1e3:.0f} kB"
    pgbench = ("pgbench, same SQL", rates["pgbench"])
    return [
        Result("page", what, rates["geosvc"], "req/s", *pgbench, TARGET),
        Result("page", f"{what}, count=none", rates["uncounted"], "req/s", *pgbench),
        Result("page", what, rates["geosvc"], "req/s", "aiohttp, as many bytes", rates["empty"]),
    ]
