"""A cursor against everything in memory: an export read by a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable

import msgspec

from benchmarks.arena import Arena
from benchmarks.claims.turns import Sample, Table, take_turns
from geosvc.errors import StartError

_READS = {
    "fetch": "0",
    "cursor, 1,000 rows a batch": "1000",
    "cursor, 50 rows a batch (the default)": "50",
    "cursor, one row a batch": "1",
}


def run(arena: Arena) -> list[Table]:
    """Seconds, and the resident memory that was needed above that before the query."""

    def contender(batch_rows: str) -> Callable[[], Sample]:
        return lambda: _read(arena.url, batch_rows)

    contenders = {name: contender(batch_rows) for name, batch_rows in _READS.items()}
    return [Table("140,000 features, 96 MB", take_turns(contenders, arena.effort.rounds))]


def _read(url: str, batch_rows: str) -> Sample:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.claims.cursor_reader", batch_rows],
        env={**os.environ, "BENCH_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise StartError(f"cursor_reader failed: {result.stderr.strip()[-500:]}")
    return msgspec.json.decode(result.stdout, type=dict[str, float])
