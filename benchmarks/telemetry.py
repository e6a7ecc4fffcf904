"""What it costs to measure every request and every statement."""

from dataclasses import replace
from random import Random

from benchmarks.arena import CLIENTS, Arena
from benchmarks.contest import compete
from benchmarks.data import COLLECTION, ROWS
from benchmarks.results import Result, Target
from benchmarks.servers import geosvc_server
from benchmarks.wrk import measure_wrk

TARGET = Target(0.97)
_PATHS = 20_000
_MORE_ROUNDS = 4  # a difference of some per cent wants more turns than the others


def run(arena: Arena) -> list[Result]:
    """Item look-ups with telemetry, as by default, against the same without; with an access log as
    well; and when every query counts as slow.
    """
    chosen = Random(140_000)
    paths = [f"/collections/{COLLECTION}/items/{chosen.randint(1, ROWS)}" for _ in range(_PATHS)]
    effort = replace(
        arena.effort, rounds=arena.effort.rounds * _MORE_ROUNDS, seconds=arena.effort.seconds / 2
    )
    with (
        geosvc_server(arena.url) as on,
        geosvc_server(arena.url, GEOSVC_TELEMETRY="false") as off,
        geosvc_server(arena.url, GEOSVC_ACCESS_LOG="true") as logged,
        geosvc_server(arena.url, GEOSVC_SLOW_QUERY_MS="0") as storm,
    ):
        rates = compete(
            {
                "off": lambda seconds: measure_wrk(off.url, paths, CLIENTS, seconds).rate,
                "on": lambda seconds: measure_wrk(on.url, paths, CLIENTS, seconds).rate,
                "storm": lambda seconds: measure_wrk(storm.url, paths, CLIENTS, seconds).rate,
                "logged": lambda seconds: measure_wrk(logged.url, paths, CLIENTS, seconds).rate,
            },
            effort,
        )
    return [
        Result(
            "telemetry",
            "item by id, with telemetry",
            rates["on"],
            "req/s",
            "without",
            rates["off"],
            TARGET,
        ),
        Result(
            "telemetry",
            "with an access log, too",
            rates["logged"],
            "req/s",
            "without",
            rates["off"],
        ),
        Result(
            "telemetry",
            "with every query above its threshold",
            rates["storm"],
            "req/s",
            "without",
            rates["off"],
        ),
    ]
