"""A whole table as one download: how fast, and how much memory it takes, also for ten times the
rows.
"""

import subprocess
from time import perf_counter

from benchmarks.arena import Arena
from benchmarks.contest import compete
from benchmarks.data import COLLECTION, ROWS, TENFOLD
from benchmarks.download import Download, download
from benchmarks.literals import inline
from benchmarks.memory import peak_bytes, reset_peak, resident_bytes
from benchmarks.pgbench import client_environment
from benchmarks.programs import find_program
from benchmarks.results import Result, Target
from benchmarks.rounds import alone
from benchmarks.servers import Server, geosvc_server

TARGET_OF_COPY = Target(0.75)
TARGET_MEMORY = Target(64, at_most=True)


class Copy:
    """psql's COPY of the same SQL to nowhere; binary, since its text would escape what is sent, and
    write bytea as hex.
    """

    def __init__(self, arena: Arena, sql: str) -> None:
        copy = f"COPY ({sql}) TO STDOUT (FORMAT binary)"
        self._command = [str(find_program("psql")), "-X", "-q", "-c", copy, arena.url]
        self._environment = client_environment(arena.planner.session)
        self._bytes = self._count()

    def _count(self) -> int:
        """What it writes, counted once, outside of what is timed."""
        with subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            size_bytes = 0
            while chunk := process.stdout.read(1 << 20):
                size_bytes += len(chunk)
            return size_bytes

    def megabytes_per_second(self) -> float:
        """In 10^6 bytes."""
        started = perf_counter()
        subprocess.run(self._command, env=self._environment, stdout=subprocess.DEVNULL, check=True)
        return self._bytes / (perf_counter() - started) / 1e6


def _export(server: Server, collection: str) -> Download:
    return download(f"{server.url}/collections/{collection}/export")


def _memory(arena: Arena, collection: str) -> tuple[Download, float]:
    """An export from a fresh process, and its peak above what the process holds when it is idle,
    10^6 bytes.
    """
    with geosvc_server(arena.url) as server:
        # everything is imported and connected, but nothing large was read
        download(f"{server.url}/collections/{collection}/items?limit=10")
        idle = resident_bytes(server.pid)
        reset_peak(server.pid)
        done = _export(server, collection)
        return done, (peak_bytes(server.pid) - idle) / 1e6


def run(arena: Arena) -> list[Result]:
    """Bytes a second against psql's COPY; memory for once and ten times the rows."""
    copy = Copy(arena, inline(arena.planner.export(COLLECTION)))
    with geosvc_server(arena.url) as server:
        rates = compete(
            {
                "geosvc": lambda _: _export(server, COLLECTION).megabytes_per_second,
                "psql": lambda _: copy.megabytes_per_second(),
            },
            arena.effort,
        )
    arena.say("export: memory")
    done, memory = _memory(arena, COLLECTION)
    what = f"{ROWS:,} polygons, {done.size_bytes / 1e6:.0f} MB"
    results = [
        Result(
            "export",
            what,
            rates["geosvc"],
            "MB/s",
            "psql COPY, same SQL",
            rates["psql"],
            TARGET_OF_COPY,
        ),
        _peak(what, memory),
    ]
    if arena.effort.is_quick:
        return results
    return results + _tenfold(arena)


def _peak(what: str, megabytes: float) -> Result:
    return Result(
        "export", f"{what}: peak memory above idle", alone(megabytes), "MB", target=TARGET_MEMORY
    )


def _tenfold(arena: Arena) -> list[Result]:
    """Memory and rate for ten times the rows."""
    done, memory = _memory(arena, TENFOLD)
    what = f"{ROWS * 10:,} polygons, {done.size_bytes / 1e6:,.0f} MB"
    rate = alone(done.megabytes_per_second)
    return [_peak(what, memory), Result("export", f"{what}, from a view", rate, "MB/s")]
