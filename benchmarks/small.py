"""Small requests: what one costs the processor, in the service and in PostgreSQL.

The tables of points have different sizes and the same density: what a box costs must not grow with
the table.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter, sleep

import asyncpg

from benchmarks.arena import CLIENTS, Arena
from benchmarks.contest import Effort
from benchmarks.cpu import seconds_of_process, seconds_of_server
from benchmarks.data import COLLECTION, ROWS, count_rows, run_sql
from benchmarks.pgbench import Mode, Sessions, measure_pgbench
from benchmarks.results import Result, Target
from benchmarks.servers import Server, empty_server, geosvc_server
from benchmarks.wrk import measure_wrk

POINTS: Mapping[str, int] = {"10,000": 10_000, "150,000": 150_000, "ten million": 10_000_000}
_SCHEMA = "bench_points"
_POINTS_PER_DEGREE = 316  # in each direction
_BOX_DEGREES = 0.0245  # some 60 points
_BOXES = 2_000
_EDGE_SECONDS = 1.0
_PATHS = 20_000
_FEATURE = (
    """SELECT '{"type":"Feature","id":' || t.id || ',"geometry":' || ST_AsGeoJSON(t.geom, 7)"""
    """ || ',"properties":' || (SELECT row_to_json(p)::text FROM (SELECT %s) p) || '}',"""
    " t.id::text FROM %s t"
)
_COLUMNS = (
    "t.id, t.osm_id, t.version, t.edited, t.name, t.kind, t.levels, t.street, t.house_number,"
    " t.postcode, t.city, t.tags"
)
_BUILDING = _FEATURE % (_COLUMNS, COLLECTION)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a request, in microseconds of the processor."""

    service: float
    postgresql: float


@dataclass(frozen=True, slots=True)
class _Contender:
    """Something that is measured.

    Attributes:
        pid: of the service; None where there is none.
        rate: runs it so many seconds, and returns its requests a second.
    """

    pid: int | None
    rate: Callable[[float], float]


def run(arena: Arena) -> list[Result]:
    """Item, page of ten and boxes against an empty handler, and against SQL by hand."""
    _make_points(arena)
    with (
        geosvc_server(arena.url, GEOSVC_SCHEMAS=f"public,{_SCHEMA}") as server,
        empty_server() as empty,
        _session(arena.url) as backend,
    ):
        contenders = _requests(server)
        contenders["empty"] = _wrk(empty, ["/"])
        contenders |= _statements(arena)
        costs = _measure(contenders, arena.effort, backend)
    return list(_results(costs))


def _table(points: int) -> str:
    return f"{_SCHEMA}.points_{points}"


def _make_points(arena: Arena) -> None:
    run_sql(arena.url, f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
    for points in POINTS.values():
        table, across = _table(points), _degrees_across(points)
        run_sql(
            arena.url,
            f"CREATE TABLE IF NOT EXISTS {table} (id bigint PRIMARY KEY, name text,"
            " geom geometry(Point, 4326) NOT NULL)",
        )
        if count_rows(arena.url, table) == points:
            continue
        arena.say(f"{points:,} points …")
        run_sql(
            arena.url,
            f"TRUNCATE {table};"
            f"INSERT INTO {table} SELECT i, 'point ' || i, ST_SetSRID(ST_Point("
            f"random() * {across}, random() * {across}), 4326) FROM generate_series(1, {points}) i;"
            f"CREATE INDEX ON {table} USING gist (geom);"
            f"VACUUM ANALYZE {table}",
        )


def _degrees_across(points: int) -> float:
    """The side of the square in which the points are."""
    return float(points**0.5 / _POINTS_PER_DEGREE)


@contextmanager
def _session(url: str) -> Iterator[int]:
    """A session that stays open. Returns: the process that serves it."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))
        yield connection.get_server_pid()
        runner.run(connection.close())


def _wrk(server: Server, paths: Sequence[str]) -> _Contender:
    def rate(seconds: float) -> float:
        return measure_wrk(server.url, paths, CLIENTS, seconds).rate

    return _Contender(server.pid, rate)


def _requests(server: Server) -> dict[str, _Contender]:
    chosen = random.Random(ROWS)
    items = f"/collections/{COLLECTION}/items"
    ids = [chosen.randint(1, ROWS) for _ in range(_PATHS)]
    contenders = {
        "item": _wrk(server, [f"{items}/{each}" for each in ids]),
        "page": _wrk(server, [items]),
    }
    for size, points in POINTS.items():
        collection = _table(points)
        paths = []
        for _ in range(_BOXES):
            left, low = _corner(chosen, points), _corner(chosen, points)
            corners = (left, low, left + _BOX_DEGREES, low + _BOX_DEGREES)
            bbox = ",".join(f"{each:.6f}" for each in corners)
            paths.append(f"/collections/{collection}/items?bbox={bbox}&limit=100")
        contenders[f"box, {size}"] = _wrk(server, paths)
    return contenders


def _corner(chosen: random.Random, points: int) -> float:
    return chosen.uniform(0, _degrees_across(points) - _BOX_DEGREES)


def _statements(arena: Arena) -> dict[str, _Contender]:
    """The same by hand; look-up and page are planned once, boxes each time, as geosvc does."""
    settings = {**arena.planner.session, "plan_cache_mode": "auto"}
    sessions = Sessions(arena.url, settings, CLIENTS)

    def pgbench(script: str, mode: Mode) -> _Contender:
        def rate(seconds: float) -> float:
            return measure_pgbench(sessions, [script], seconds, mode)

        return _Contender(None, rate)

    by_id = f"\\set id random(1, {ROWS})\n{_BUILDING} WHERE t.id = :id\n"
    contenders = {
        "item by hand": pgbench(by_id, "prepared"),
        "page by hand": pgbench(f"{_BUILDING} ORDER BY t.id LIMIT 11\n", "prepared"),
    }
    for size, points in POINTS.items():
        script = _box_by_hand(_table(points), _degrees_across(points) - _BOX_DEGREES)
        contenders[f"box, {size} by hand"] = pgbench(script, "extended")
    return contenders


def _box_by_hand(table: str, most: float) -> str:
    million = 1_000_000
    box = (
        f"ST_MakeEnvelope(:x / 1e6, :y / 1e6, :x / 1e6 + {_BOX_DEGREES},"
        f" :y / 1e6 + {_BOX_DEGREES}, 4326)"
    )
    feature = _FEATURE % ("t.id, t.name", table)
    return (
        f"\\set x random(0, {int(most * million)})\n\\set y random(0, {int(most * million)})\n"
        f"{feature} WHERE t.geom && {box} AND ST_Intersects(t.geom, {box})"
        " ORDER BY t.id LIMIT 101\n"
    )


def _measure(contenders: Mapping[str, _Contender], effort: Effort, backend: int) -> dict[str, Cost]:
    """The median cost of each in some rounds, in turns. A short run of each comes first."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for contender in contenders.values():
        contender.rate(1)
    for _ in range(effort.rounds):
        for name, contender in contenders.items():
            costs[name].append(_cost(contender, effort.seconds, backend))
    medians: dict[str, Cost] = {}
    for name, measured in costs.items():
        service = median(cost.service for cost in measured)
        medians[name] = Cost(service, median(cost.postgresql for cost in measured))
    return medians


def _cost(contender: _Contender, seconds: float, backend: int) -> Cost:
    """The cost in the middle of a run, when all sessions are open."""
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(contender.rate, seconds + 2 * _EDGE_SECONDS)
        sleep(_EDGE_SECONDS)
        started = perf_counter()
        service, server = _used(contender.pid), seconds_of_server(backend)
        sleep(seconds)
        service, server = _used(contender.pid) - service, seconds_of_server(backend) - server
        window = perf_counter() - started
        requests = running.result() * window
    return Cost(service / requests * 1e6, server / requests * 1e6)


def _used(pid: int | None) -> float:
    if pid is None:
        return 0.0
    return seconds_of_process(pid)


def _results(costs: Mapping[str, Cost]) -> Iterator[Result]:
    empty = costs["empty"].service
    bars: dict[str, tuple[float | None, float | None]] = {"item": (3, None), "page": (7, 1.5)}
    names = {"item": "item by id", "page": "page of 10"}
    for size in POINTS:
        bars[f"box, {size}"] = (None, 1.2)
        names[f"box, {size}"] = f"box of 60 in {size} points"
    for name, (most_of_empty, most_by_hand) in bars.items():
        cost, by_hand = costs[name], costs[f"{name} by hand"]
        yield Result(
            "small",
            f"{names[name]}: the service",
            cost.service,
            "µs CPU",
            "empty aiohttp handler",
            empty,
            _at_most(most_of_empty),
        )
        yield Result(
            "small",
            f"{names[name]}: PostgreSQL",
            cost.postgresql,
            "µs CPU",
            "by hand in pgbench",
            by_hand.postgresql,
            _at_most(most_by_hand),
        )


def _at_most(value: float | None) -> Target | None:
    if value is None:
        return None
    return Target(value, at_most=True)
