"""COPY against executemany against INSERT: rows a second into a table of its own."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import asyncpg
import orjson

from benchmarks.arena import Arena
from benchmarks.claims.session import Query, Session, open_session
from benchmarks.claims.turns import Sample, Table, take_turns
from benchmarks.data import COLLECTION

_TABLE = "claims_loaded"
_COLUMNS = ("id", "osm_id", "name", "kind", "levels", "tags", "geom")
_TYPES = ("bigint", "bigint", "text", "text", "integer", "jsonb", "geometry")
_ROWS = 20_000
_COMMITTED_ROWS = 1_000  # each with a commit of its own, which waits for the disk
_INSERT = (
    f"INSERT INTO {_TABLE} ({', '.join(_COLUMNS)}) VALUES"
    f" ({', '.join(f'${number}' for number in range(1, len(_COLUMNS) + 1))})"
)
_ARRAYS = ", ".join(f"${number}::{type_}[]" for number, type_ in enumerate(_TYPES, 1))
_UNNEST = f"INSERT INTO {_TABLE} ({', '.join(_COLUMNS)}) SELECT * FROM unnest({_ARRAYS})"
_AS_GEOSVC = (
    f"INSERT INTO {_TABLE} ({', '.join(_COLUMNS)}) SELECT id, osm_id, name, kind, levels, tags,"
    " geom::geometry FROM ROWS FROM (unnest($1::bytea[]), json_to_recordset($2::json) AS"
    " (id bigint, osm_id bigint, name text, kind text, levels integer, tags jsonb))"
    " AS r(geom, id, osm_id, name, kind, levels, tags)"
)
_MAKE = (
    f"DROP TABLE IF EXISTS {_TABLE}",
    f"CREATE TABLE {_TABLE} AS SELECT {', '.join(_COLUMNS)} FROM {COLLECTION} LIMIT 0",
)
_INDEX = (
    f"ALTER TABLE {_TABLE} ADD PRIMARY KEY (id)",
    f"CREATE INDEX ON {_TABLE} USING gist (geom)",
)

Rows = Sequence[Sequence[Any]]
Load = Callable[[asyncpg.Connection, Rows], Awaitable[Any]]


def run(arena: Arena) -> list[Table]:
    """Into a table without an index, and into one with a key and a spatial index."""
    with open_session(arena.url) as session, _loaded_table(session) as rows:
        plain = _compare(arena, session, "without an index", rows)
        for statement in _INDEX:
            session.run(_execute(statement))
        return [plain, _compare(arena, session, "with a key and a spatial index", rows)]


def _execute(statement: str) -> Query:
    return lambda connection: connection.execute(statement)


@contextmanager
def _loaded_table(session: Session) -> Iterator[Rows]:
    """An empty table, and the rows for it; the geometries are EWKB in both directions."""

    async def make(connection: asyncpg.Connection) -> Rows:
        schema = await connection.fetchval(
            "SELECT typnamespace::regnamespace::text FROM pg_type WHERE oid = 'geometry'::regtype"
        )
        await connection.set_type_codec(
            "geometry", schema=schema, encoder=bytes, decoder=bytes, format="binary"
        )
        for statement in _MAKE:
            await connection.execute(statement)
        found = await connection.fetch(
            f"SELECT {', '.join(_COLUMNS)} FROM {COLLECTION} ORDER BY id LIMIT {_ROWS}"
        )
        return [tuple(row) for row in found]

    rows: Rows = session.run(make)
    try:
        yield rows
    finally:
        session.run(_execute(f"DROP TABLE {_TABLE}"))


def _compare(arena: Arena, session: Session, caption: str, rows: Rows) -> Table:
    arena.say(caption)

    def contender(load: Load, count: int) -> Callable[[], Sample]:
        return lambda: _rate(session, load, rows[:count])

    contenders = {name: contender(load, count) for name, (load, count) in _LOADS.items()}
    return Table(f"20,000 buildings, {caption}", take_turns(contenders, arena.effort.rounds))


def _rate(session: Session, load: Load, rows: Rows) -> Sample:
    session.run(_execute(f"TRUNCATE {_TABLE}"))
    started = perf_counter()
    session.run(lambda connection: load(connection, rows))
    return {"rows/s": len(rows) / (perf_counter() - started)}


async def _copy(connection: asyncpg.Connection, rows: Rows) -> None:
    await connection.copy_records_to_table(_TABLE, records=rows, columns=_COLUMNS)


async def _insert_arrays(connection: asyncpg.Connection, rows: Rows) -> None:
    await connection.execute(_UNNEST, *(list(column) for column in zip(*rows, strict=True)))


async def _insert_json(connection: asyncpg.Connection, rows: Rows) -> None:
    properties = [dict(zip(_COLUMNS[:-1], row, strict=False)) for row in rows]
    for each in properties:
        each["tags"] = orjson.Fragment(each["tags"])
    text = orjson.dumps(properties).decode()
    await connection.execute(_AS_GEOSVC, [row[-1] for row in rows], text)


async def _execute_many(connection: asyncpg.Connection, rows: Rows) -> None:
    await connection.executemany(_INSERT, rows)


async def _insert_together(connection: asyncpg.Connection, rows: Rows) -> None:
    async with connection.transaction():
        await _insert_each(connection, rows)


async def _insert_each(connection: asyncpg.Connection, rows: Rows) -> None:
    for row in rows:
        await connection.execute(_INSERT, *row)


_LOADS: Mapping[str, tuple[Load, int]] = {
    "COPY": (_copy, _ROWS),
    "executemany": (_execute_many, _ROWS),
    "INSERT … SELECT, an array for each column": (_insert_arrays, _ROWS),
    "INSERT … SELECT, geometries and one JSON, as geosvc": (_insert_json, _ROWS),
    "INSERT, one transaction": (_insert_together, _ROWS),
    "INSERT, a commit for each": (_insert_each, _COMMITTED_ROWS),
}
