"""One feature by its id, for 16 clients."""

import random

from benchmarks.arena import CLIENTS, Arena
from benchmarks.contest import compete
from benchmarks.data import COLLECTION, ROWS
from benchmarks.literals import pgbench_script
from benchmarks.pgbench import Sessions, measure_pgbench
from benchmarks.results import Result, Target
from benchmarks.servers import empty_server, fastapi_server, geosvc_server
from benchmarks.wrk import measure_wrk

TARGET_OF_PGBENCH = Target(0.15)
TARGET_OF_FASTAPI = Target(5)
_PATHS = 20_000


def run(arena: Arena) -> list[Result]:
    """Requests a second against the same SQL in pgbench, a plain FastAPI handler, and an empty
    aiohttp handler.
    """
    chosen = random.Random(140_000)
    ids = [chosen.randint(1, ROWS) for _ in range(_PATHS)]
    paths = [f"/collections/{COLLECTION}/items/{each}" for each in ids]
    typed_paths = [f"/buildings/{each}" for each in ids]
    untyped_paths = [f"/untyped/{each}" for each in ids]
    statement = arena.planner.item(COLLECTION, "1")
    place = statement.args.index("1") + 1
    script = pgbench_script(statement, {place: f"random(1, {ROWS})"})
    # planned once a connection, which geosvc forgoes for the sake of boxes: the limit is what
    # PostgreSQL can do
    settings = {**arena.planner.session, "plan_cache_mode": "auto"}
    sessions = Sessions(arena.url, settings, CLIENTS)
    with (
        geosvc_server(arena.url) as server,
        fastapi_server(arena.url) as plain,
        empty_server() as empty,
    ):
        rates = compete(
            {
                "geosvc": lambda seconds: measure_wrk(server.url, paths, CLIENTS, seconds).rate,
                "pgbench": lambda seconds: measure_pgbench(sessions, [script], seconds, "prepared"),
                "typed": lambda seconds: measure_wrk(plain.url, typed_paths, CLIENTS, seconds).rate,
                "untyped": lambda seconds: (
                    measure_wrk(plain.url, untyped_paths, CLIENTS, seconds).rate
                ),
                "empty": lambda seconds: measure_wrk(empty.url, ["/"], CLIENTS, seconds).rate,
            },
            arena.effort,
        )
    geosvc = rates["geosvc"]
    return [
        Result(
            "item",
            "by id",
            geosvc,
            "req/s",
            "pgbench, same SQL, prepared",
            rates["pgbench"],
            TARGET_OF_PGBENCH,
        ),
        Result(
            "item", "by id", geosvc, "req/s", "FastAPI + asyncpg", rates["typed"], TARGET_OF_FASTAPI
        ),
        Result(
            "item", "by id", geosvc, "req/s", "the same without a response model", rates["untyped"]
        ),
        Result("item", "by id", geosvc, "req/s", "empty aiohttp handler", rates["empty"]),
    ]
