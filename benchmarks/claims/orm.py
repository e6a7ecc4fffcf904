"""An asynchronous ORM against a synchronous one: two peers, and geosvc."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.arena import CLIENTS, Arena
from benchmarks.claims.served import cost_of_requests
from benchmarks.claims.turns import Sample, Table, take_turns
from benchmarks.data import COLLECTION, ROWS
from benchmarks.peer_servers import PEERS, WORKERS, peer_server
from benchmarks.servers import Server, geosvc_server

_NAMES = {
    "Flask + SQLAlchemy": "sync: Flask, SQLAlchemy, psycopg2, gunicorn",
    "FastAPI + SQLAlchemy": "async: FastAPI, SQLAlchemy, asyncpg, uvicorn",
    "FastAPI + asyncpg": "async without an ORM: FastAPI, asyncpg, uvicorn",
}
_PATHS = 20_000


@dataclass(frozen=True, slots=True)
class _Contender:
    server: Server
    item: str
    page: str


def run(arena: Arena) -> list[Table]:
    """An item by its id, and a page of ten; each service has two processes."""
    chosen = random.Random(ROWS)
    ids = [chosen.randint(1, ROWS) for _ in range(_PATHS)]
    with ExitStack() as opened:
        contenders = _start(arena, opened)
        items = {
            name: [contender.item.format(id=each) for each in ids]
            for name, contender in contenders.items()
        }
        pages = {name: [contender.page] for name, contender in contenders.items()}
        return [
            _compare(arena, contenders, "item by id", items),
            _compare(arena, contenders, "page of 10", pages),
        ]


def _start(arena: Arena, opened: ExitStack) -> dict[str, _Contender]:
    contenders = {}
    for peer, name in _NAMES.items():
        paths = PEERS[peer].paths
        server = opened.enter_context(peer_server(peer, arena.url))
        contenders[name] = _Contender(server, paths.item, paths.buildings.format(query="limit=10"))
    geosvc = opened.enter_context(geosvc_server(arena.url, GEOSVC_WORKERS=str(WORKERS)))
    items = f"/collections/{COLLECTION}/items"
    contenders["geosvc"] = _Contender(geosvc, f"{items}/{{id}}", f"{items}?limit=10")
    return contenders


def _compare(
    arena: Arena,
    contenders: Mapping[str, _Contender],
    work: str,
    paths: Mapping[str, Sequence[str]],
) -> Table:
    arena.say(work)

    def measured(name: str) -> Callable[[], Sample]:
        server = contenders[name].server
        return lambda: _rate_first(
            cost_of_requests(server, paths[name], CLIENTS, arena.effort.seconds)
        )

    turns = {name: measured(name) for name in contenders}
    return Table(f"{work}, 2 processes", take_turns(turns, arena.effort.rounds))


def _rate_first(sample: Sample) -> Sample:
    return {"requests/s": sample["requests/s"], **sample}
