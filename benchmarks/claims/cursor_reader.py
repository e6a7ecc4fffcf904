"""Reads all features once and prints what it took, as JSON.

`python -m benchmarks.claims.cursor_reader ROWS` reads so many rows a batch; 0: all at once.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from time import perf_counter

import asyncpg
import msgspec
import uvloop

from benchmarks.data import COLLECTION
from benchmarks.memory import peak_bytes, reset_peak, resident_bytes

_FEATURES = (
    """SELECT '{"type":"Feature","id":' || t.id || ',"geometry":' || ST_AsGeoJSON(t.geom, 7, 0)"""
    """ || ',"properties":' || (SELECT row_to_json(p)::text FROM (SELECT t.osm_id, t.version,"""
    " t.edited, t.name, t.kind, t.levels, t.street, t.house_number, t.postcode, t.city, t.tags) p)"
    f" || '}}' FROM {COLLECTION} t"
)


async def read(batch_rows: int) -> dict[str, float]:
    """Reads, counts the bytes, and keeps none of them longer than a batch."""
    connection = await asyncpg.connect(os.environ["BENCH_DATABASE_URL"])
    reset_peak(os.getpid())
    before, started = resident_bytes(os.getpid()), perf_counter()
    first_seconds, size_bytes = 0.0, 0
    async for text in _features(connection, batch_rows):
        first_seconds = first_seconds or perf_counter() - started
        size_bytes += len(text)
    seconds = perf_counter() - started
    await connection.close()
    return {
        "seconds": seconds,
        "peak of memory, MB": (peak_bytes(os.getpid()) - before) / 1e6,
        "ms to the first row": first_seconds * 1e3,
    }


async def _features(connection: asyncpg.Connection, batch_rows: int) -> AsyncIterator[str]:
    if batch_rows == 0:
        for row in await connection.fetch(_FEATURES):
            yield row[0]
        return
    async with connection.transaction():
        async for row in connection.cursor(_FEATURES, prefetch=batch_rows):
            yield row[0]


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop_runner:
        measured = loop_runner.run(read(int(sys.argv[1])))
    sys.stdout.write(msgspec.json.encode(measured).decode())
