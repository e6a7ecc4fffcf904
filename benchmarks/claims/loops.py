"""uvloop against the loop of asyncio: geosvc on either, and a server that does nothing else."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from time import perf_counter

from benchmarks.arena import CLIENTS, Arena
from benchmarks.claims.served import cost_of_requests
from benchmarks.claims.turns import Sample, Table, take_turns
from benchmarks.data import COLLECTION, ROWS
from benchmarks.servers import STOP_SECONDS, Server, geosvc_server

LOOPS = ("uvloop", "asyncio")
_PATHS = 20_000


def run(arena: Arena) -> list[Table]:
    """A protocol that echoes a fixed answer; item, page of ten and page of 1,000 of geosvc."""
    chosen = random.Random(ROWS)
    items = f"/collections/{COLLECTION}/items"
    works = {
        "item by id": [f"{items}/{chosen.randint(1, ROWS)}" for _ in range(_PATHS)],
        "page of 10": [items],
        "page of 1,000 in a box": [f"{items}?bbox={box}&limit=1000" for box in arena.boxes],
    }
    with ExitStack() as opened:
        fixed = {loop: opened.enter_context(_fixed_answer(loop)) for loop in LOOPS}
        tables = [_compare(arena, fixed, "a fixed answer, no HTTP library", ["/"])]
    with ExitStack() as opened:
        geosvc = {
            loop: opened.enter_context(geosvc_server(arena.url, GEOSVC_LOOP=loop)) for loop in LOOPS
        }
        tables += [_compare(arena, geosvc, work, paths) for work, paths in works.items()]
    return tables


@contextmanager
def _fixed_answer(loop: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "benchmarks.claims.fixed_answer", loop]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Server(process.stdout.readline().strip(), process.pid, perf_counter())
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        process.stdout.close()


def _compare(arena: Arena, servers: Mapping[str, Server], work: str, paths: list[str]) -> Table:
    arena.say(work)

    def contender(server: Server) -> Callable[[], Sample]:
        return lambda: cost_of_requests(server, paths, CLIENTS, arena.effort.seconds)

    contenders = {loop: contender(server) for loop, server in servers.items()}
    return Table(work, take_turns(contenders, arena.effort.rounds))
