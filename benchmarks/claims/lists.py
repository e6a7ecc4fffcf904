"""ANY of one array against IN of as many parameters or literals."""

import random
from collections.abc import Callable, Mapping

import asyncpg

from benchmarks.arena import Arena
from benchmarks.claims.session import Query, cost_of, open_session
from benchmarks.claims.turns import Sample, Table, take_turns
from benchmarks.data import COLLECTION, ROWS

_SELECT = f"SELECT id, name FROM {COLLECTION} WHERE id"
_MOST = 1_000

Sizes = Callable[[], int]


def run(arena: Arena) -> list[Table]:
    """Ten ids, a thousand, and another number of them each time."""
    chosen = random.Random(ROWS)
    works: Mapping[str, Sizes] = {
        "10 ids": lambda: 10,
        "1,000 ids": lambda: _MOST,
        "1 to 1,000 ids, as many as it happens": lambda: chosen.randint(1, _MOST),
    }
    return [_compare(arena, caption, sizes, chosen) for caption, sizes in works.items()]


def _compare(arena: Arena, caption: str, sizes: Sizes, chosen: random.Random) -> Table:
    arena.say(caption)
    with open_session(arena.url) as session:

        def contender(query: Query) -> Callable[[], Sample]:
            return lambda: cost_of(session, query, arena.effort.seconds, "queries")

        contenders = {name: contender(query) for name, query in _queries(sizes, chosen).items()}
        return Table(caption, take_turns(contenders, arena.effort.rounds))


def _queries(sizes: Sizes, chosen: random.Random) -> dict[str, Query]:
    def ids() -> list[int]:
        return chosen.sample(range(1, ROWS + 1), sizes())

    async def array(connection: asyncpg.Connection) -> None:
        await connection.fetch(f"{_SELECT} = ANY ($1::bigint[])", ids())

    async def subquery(connection: asyncpg.Connection) -> None:
        await connection.fetch(f"{_SELECT} = ANY ((SELECT $1::bigint[])::bigint[])", ids())

    async def parameters(connection: asyncpg.Connection) -> None:
        wanted = ids()
        places = ", ".join(f"${number}" for number in range(1, len(wanted) + 1))
        await connection.fetch(f"{_SELECT} IN ({places})", *wanted)

    async def literals(connection: asyncpg.Connection) -> None:
        await connection.fetch(f"{_SELECT} IN ({', '.join(map(str, ids()))})")

    return {
        "ANY of an array": array,
        "ANY of an array in a subquery": subquery,
        "IN of parameters": parameters,
        "IN of literals": literals,
    }
