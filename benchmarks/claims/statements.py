"""The cache of prepared statements, on and off."""

import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import asyncpg

from benchmarks.arena import Arena
from benchmarks.claims.session import Query, Session, cost_of, open_session
from benchmarks.claims.turns import Sample, Table, take_turns
from benchmarks.data import COLLECTION, ROWS

ITEM = (
    "SELECT id, osm_id, version, edited, name, kind, levels, street, house_number, postcode, city,"
    f" tags, ST_AsGeoJSON(geom, 7, 0) FROM {COLLECTION} WHERE id = $1"
)
_BOX = (
    f"SELECT id, name, ST_AsGeoJSON(geom, 7, 0) FROM {COLLECTION}"
    " WHERE geom && ST_MakeEnvelope($1, $2, $3, $4, 4326)"
)
_SMALL = 0.1  # of the width and the height of a box that holds a page: a hundredth of its rows
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "cached": {},
    "cached, planned for the values": {"server_settings": {"plan_cache_mode": "force_custom_plan"}},
    "not cached": {"statement_cache_size": 0},
}


def run(arena: Arena) -> list[Table]:
    """An item by its id, a box of some 15, and the first hundred in a box of a thousand."""
    chosen = random.Random(ROWS)

    async def item(connection: asyncpg.Connection) -> Any:
        return await connection.fetchrow(ITEM, chosen.randint(1, ROWS))

    async def small_box(connection: asyncpg.Connection) -> Any:
        each = chosen.choice(arena.boxes)
        xmax = each.xmin + (each.xmax - each.xmin) * _SMALL
        ymax = each.ymin + (each.ymax - each.ymin) * _SMALL
        return await connection.fetch(_BOX, each.xmin, each.ymin, xmax, ymax)

    async def first_of_box(connection: asyncpg.Connection) -> Any:
        each = chosen.choice(arena.boxes)
        corners = (each.xmin, each.ymin, each.xmax, each.ymax)
        return await connection.fetch(f"{_BOX} ORDER BY id LIMIT 100", *corners)

    with ExitStack() as opened:
        sessions = {
            name: opened.enter_context(open_session(arena.url, **options))
            for name, options in _SETTINGS.items()
        }
        return [
            _compare(arena, sessions, "item by id", item),
            _compare(arena, sessions, "all in a small box", small_box),
            _compare(arena, sessions, "100 of 1,500 in a box, `ORDER BY id`", first_of_box),
        ]


def _compare(arena: Arena, sessions: Mapping[str, Session], caption: str, query: Query) -> Table:
    arena.say(caption)

    def contender(session: Session) -> Callable[[], Sample]:
        return lambda: cost_of(session, query, arena.effort.seconds, "queries")

    contenders = {name: contender(session) for name, session in sessions.items()}
    return Table(caption, take_turns(contenders, arena.effort.rounds))
