"""From the start of the process to the first answer, with 1,000 tables."""

from time import perf_counter

from benchmarks.arena import Arena
from benchmarks.contest import repeat
from benchmarks.data import COLLECTION, THOUSAND_SCHEMA
from benchmarks.download import download
from benchmarks.results import Result, Target
from benchmarks.servers import geosvc_server

TARGET = Target(2, at_most=True)


def _seconds_to_serve(url: str, path: str, **variables: str) -> float:
    with geosvc_server(url, **variables) as server:
        download(server.url + path)
        return perf_counter() - server.started


def run(arena: Arena) -> list[Result]:
    """Seconds until /collections has been answered in whole; and with a few tables, for
    comparison.
    """
    many = repeat(
        lambda: _seconds_to_serve(arena.url, "/collections", GEOSVC_SCHEMAS=THOUSAND_SCHEMA),
        arena.effort.rounds,
    )
    few = repeat(
        lambda: _seconds_to_serve(arena.url, "/collections", GEOSVC_TABLES=COLLECTION),
        arena.effort.rounds,
    )
    return [
        Result("start", "1,000 tables, to the first answer", many, "s", target=TARGET),
        Result("start", "one table, to the first answer", few, "s"),
    ]
