"""Binary against text: 10,000 polygons, and four columns that are no text."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import shapely

from benchmarks.arena import Arena
from benchmarks.claims.session import Query, Session, cost_of, open_session
from benchmarks.claims.turns import Sample, Table, take_turns
from benchmarks.data import COLLECTION

_ROWS = 10_000
_WHERE = f"FROM {COLLECTION} WHERE id BETWEEN 60001 AND 70000"
_COLUMNS = ("id", "osm_id", "version", "edited")
_GEOMETRIES: Mapping[str, str] = {
    "WKB, binary": "ST_AsBinary(geom)",
    "EWKB, in hex": "geom::text",
    "GeoJSON, 7 digits": "ST_AsGeoJSON(geom, 7, 0)",
    "WKT, 7 digits": "ST_AsText(geom, 7)",
}

Decode = Callable[[Sequence[Any]], Any]
_SHAPES: Mapping[str, Decode] = {
    "WKB, binary": shapely.from_wkb,
    "EWKB, in hex": shapely.from_wkb,
    "GeoJSON, 7 digits": shapely.from_geojson,
    "WKT, 7 digits": shapely.from_wkt,
}


def run(arena: Arena) -> list[Table]:
    """Reads as it comes, reads and makes shapes, reads and makes GeoJSON; then plain columns."""
    with open_session(arena.url) as session:
        seconds, rounds = arena.effort.seconds, arena.effort.rounds

        def compare(caption: str, queries: Mapping[str, Query]) -> Table:
            arena.say(caption)
            contenders = {
                name: _contender(session, query, seconds) for name, query in queries.items()
            }
            return Table(caption, take_turns(contenders, rounds))

        return [
            _with_sizes(session, compare("10,000 polygons, as they come", _plain())),
            compare("10,000 polygons, as shapes of GEOS", _decoded(_SHAPES)),
            compare("10,000 polygons, as GeoJSON", _geojson()),
            compare("10,000 rows of two bigint, an integer and a timestamptz", _columns()),
        ]


def _contender(session: Session, query: Query, seconds: float) -> Callable[[], Sample]:
    return lambda: cost_of(session, query, seconds, "rows", _ROWS)


def _with_sizes(session: Session, table: Table) -> Table:
    """The table with the bytes of an average value."""
    sizes = {}
    for name, expression in _GEOMETRIES.items():
        sql = f"SELECT avg(octet_length({expression}))::float8 {_WHERE}"
        sizes[name] = session.run(_value(sql))
    return Table(
        table.caption,
        {
            name: [{**sample, "bytes": sizes[name]} for sample in samples]
            for name, samples in table.samples.items()
        },
    )


def _value(sql: str) -> Query:
    return lambda connection: connection.fetchval(sql)


def _read(expression: str, decode: Decode | None = None) -> Query:
    sql = f"SELECT {expression} {_WHERE}"

    async def query(connection: asyncpg.Connection) -> None:
        rows = await connection.fetch(sql)
        if decode is not None:
            decode([row[0] for row in rows])

    return query


def _plain() -> dict[str, Query]:
    return {name: _read(expression) for name, expression in _GEOMETRIES.items()}


def _decoded(decoders: Mapping[str, Decode]) -> dict[str, Query]:
    return {name: _read(_GEOMETRIES[name], decode) for name, decode in decoders.items()}


def _geojson() -> dict[str, Query]:
    def write(values: Sequence[Any]) -> Any:
        return shapely.to_geojson(shapely.from_wkb(values))

    return {
        "by PostGIS, as text": _read(_GEOMETRIES["GeoJSON, 7 digits"]),
        "WKB, then by GEOS in Python": _read(_GEOMETRIES["WKB, binary"], write),
    }


def _columns() -> dict[str, Query]:
    async def binary(connection: asyncpg.Connection) -> None:
        await connection.fetch(f"SELECT {', '.join(_COLUMNS)} {_WHERE}")

    texts = ", ".join(f"{column}::text" for column in _COLUMNS)

    async def text(connection: asyncpg.Connection) -> None:
        for row in await connection.fetch(f"SELECT {texts} {_WHERE}"):
            int(row[0])
            int(row[1])
            int(row[2])
            datetime.fromisoformat(row[3])

    return {"binary": binary, "text, parsed in Python": text}
