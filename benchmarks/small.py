"""Small requests: what one costs the processor, in the service and in PostgreSQL.

The tables of points have different sizes and the same density: what a box costs must not grow with
the table.
"""

import random
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.arena import CLIENTS, Arena
from benchmarks.costs import Contender, Measured, asking, measure_costs, open_session
from benchmarks.data import COLLECTION, ROWS
from benchmarks.pgbench import Mode, Sessions, measure_pgbench
from benchmarks.points import (
    BOX_DEGREES,
    POINTS,
    SCHEMA,
    degrees_across,
    make_points,
    points_table,
    random_box_of_points,
)
from benchmarks.results import Result, Target
from benchmarks.servers import Server, empty_server, geosvc_server

_BOXES = 2_000
_PATHS = 20_000
_OF_A_QUICK_RUN = ("10,000", "ten million")
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


def run(arena: Arena) -> list[Result]:
    """Item, page of ten and boxes against an empty handler, and against SQL by hand."""
    make_points(arena)
    with (
        geosvc_server(arena.url, GEOSVC_SCHEMAS=f"public,{SCHEMA}") as server,
        empty_server() as empty,
        open_session(arena.url) as backend,
    ):
        sizes = _OF_A_QUICK_RUN if arena.effort.is_quick else tuple(POINTS)
        contenders = _requests(server, sizes)
        contenders["empty"] = asking(empty, ["/"], CLIENTS)
        contenders |= _statements(arena, sizes)
        costs = measure_costs(contenders, arena.effort, backend)
    return list(_results(costs, sizes))


def _requests(server: Server, sizes: Sequence[str]) -> dict[str, Contender]:
    chosen = random.Random(ROWS)
    items = f"/collections/{COLLECTION}/items"
    ids = [chosen.randint(1, ROWS) for _ in range(_PATHS)]
    contenders = {
        "item": asking(server, [f"{items}/{each}" for each in ids], CLIENTS),
        "page": asking(server, [items], CLIENTS),
    }
    for size in sizes:
        points = POINTS[size]
        collection = points_table(points)
        boxes = [random_box_of_points(chosen, points) for _ in range(_BOXES)]
        paths = [f"/collections/{collection}/items?bbox={box}&limit=100" for box in boxes]
        contenders[f"box, {size}"] = asking(server, paths, CLIENTS)
    return contenders


def _statements(arena: Arena, sizes: Sequence[str]) -> dict[str, Contender]:
    """The same by hand; look-up and page are planned once, boxes each time, as geosvc does."""
    settings = {**arena.planner.session, "plan_cache_mode": "auto"}
    sessions = Sessions(arena.url, settings, CLIENTS)

    def pgbench(script: str, mode: Mode) -> Contender:
        def rate(seconds: float) -> float:
            return measure_pgbench(sessions, [script], seconds, mode)

        return Contender(None, rate)

    by_id = f"\\set id random(1, {ROWS})\n{_BUILDING} WHERE t.id = :id\n"
    contenders = {
        "item by hand": pgbench(by_id, "prepared"),
        "page by hand": pgbench(f"{_BUILDING} ORDER BY t.id LIMIT 11\n", "prepared"),
    }
    for size in sizes:
        points = POINTS[size]
        script = _box_by_hand(points_table(points), degrees_across(points) - BOX_DEGREES)
        contenders[f"box, {size} by hand"] = pgbench(script, "extended")
    return contenders


def _box_by_hand(table: str, most: float) -> str:
    million = 1_000_000
    box = (
        f"ST_MakeEnvelope(:x / 1e6, :y / 1e6, :x / 1e6 + {BOX_DEGREES},"
        f" :y / 1e6 + {BOX_DEGREES}, 4326)"
    )
    feature = _FEATURE % ("t.id, t.name", table)
    return (
        f"\\set x random(0, {int(most * million)})\n\\set y random(0, {int(most * million)})\n"
        f"{feature} WHERE t.geom && {box} AND ST_Intersects(t.geom, {box})"
        " ORDER BY t.id LIMIT 101\n"
    )


def _results(costs: Mapping[str, Measured], sizes: Sequence[str]) -> Iterator[Result]:
    empty = costs["empty"].cost.service
    bars: dict[str, tuple[float | None, float | None]] = {"item": (3, None), "page": (7, 1.5)}
    names = {"item": "item by id", "page": "page of 10"}
    for size in sizes:
        bars[f"box, {size}"] = (None, 1.2)
        names[f"box, {size}"] = f"box of 60 in {size} points"
    for name, (most_of_empty, most_by_hand) in bars.items():
        cost, by_hand = costs[name].cost, costs[f"{name} by hand"].cost
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
