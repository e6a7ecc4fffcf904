"""What the tables hold, read by SQL alone, to compare with what a client got."""

import asyncio
import json
import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import shapely

_NUMBERS = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8", "bool", "oid"})
_TIMES = frozenset({"date", "timestamp", "timestamptz"})

Properties = Mapping[str, Any]
Feature = tuple[Properties, Any]  # its geometry is shapely's, or None

COLUMNS = """
SELECT a.attname AS name, CASE t.typtype WHEN 'c' THEN 'json' ELSE t.typname END AS type
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


@dataclass(frozen=True)
class Table:
    """A table and all that is in it; geometries as they are stored, x before y, with shells as
    GeoJSON has them.
    """

    types: Mapping[str, str]
    features: Sequence[Feature]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def query(url: str, sql: str, *values: Any) -> list[Any]:
    """The rows of a query, outside a loop."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(
            url, server_settings={"timezone": "UTC", "intervalstyle": "iso_8601"}
        )
        try:
            return await connection.fetch(sql, *values)
        finally:
            await connection.close()

    return asyncio.run(run())


def read_table(url: str, name: str, geometry: str | None = None, where: str = "true") -> Table:
    """All of a table.

    Args:
        geometry: the column, if there is more than one.
        where: SQL of the tests' own.
    """
    types = {each["name"]: each["type"] for each in query(url, COLUMNS, quoted(name))}
    spatial = [column for column, kind in types.items() if kind in ("geometry", "geography")]
    names = [column for column in types if column not in spatial]
    columns = ", ".join(f"t.{quoted(column)}" for column in names)
    shapes = f"t.{quoted(geometry or spatial[0])}::geometry"
    # shells are counter-clockwise in GeoJSON; ST_ForcePolygonCCW turns lines as well
    wound = f"CASE WHEN GeometryType({shapes}) LIKE '%POLYGON' THEN ST_ForcePolygonCCW({shapes}) ELSE {shapes} END"
    rows = query(
        url,
        f"SELECT row_to_json(p)::text AS properties, ST_AsBinary({wound}) AS geometry"
        f" FROM (SELECT * FROM {quoted(name)} WHERE {where}) t, LATERAL (SELECT {columns}) p",
    )
    features = [(json.loads(row["properties"]), shape(row["geometry"])) for row in rows]
    return Table({column: types[column] for column in names}, features)


def shape(wkb: bytes | None) -> Any:
    """A geometry of shapely; an empty one is none, as GeoJSON readers have it."""
    geometry = shapely.from_wkb(wkb, on_invalid="ignore")
    return None if geometry is None or geometry.is_empty else geometry


def comparable(value: Any, kind: str) -> Any:
    """A value as it can be compared: a client may have a double for a whole number, text for JSON,
    milliseconds, and no infinite or ancient day.
    """
    if value is None or (
        isinstance(value, str)
        and kind in _TIMES
        and (value.endswith(("infinity", "BC")) or not value)
    ):
        return None
    if kind in _NUMBERS:
        number = float(value)
        return None if math.isnan(number) else int(number) if number.is_integer() else number
    if kind in ("json", "jsonb") or kind.startswith("_"):
        return json.dumps(unfolded(value), sort_keys=True)
    if kind == "bytea" and value.startswith("\\x"):
        return b64encode(bytes.fromhex(value[2:])).decode()
    if kind in ("timestamp", "timestamptz"):
        moment = datetime.fromisoformat(value)
        return moment.replace(
            microsecond=moment.microsecond // 1000 * 1000, tzinfo=None
        ).isoformat()
    return value


def unfolded(value: Any) -> Any:
    """What clients have as text that is JSON."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        with suppress(ValueError):
            return json.loads(value)
    return list(map(unfolded, value)) if isinstance(value, list) else value


def differences(got: Iterable[Feature], wanted: Table, tolerance: float) -> list[str]:
    """What is not the same, feature by feature; nothing when all is.

    Args:
        got: with at least the columns of the table.
        tolerance: of coordinates, which are rounded when they are written.
    """
    kinds = wanted.types.items()
    sides = [
        sorted(
            (
                (
                    [comparable(properties.get(name, "absent"), kind) for name, kind in kinds],
                    geometry,
                )
                for properties, geometry in each
            ),
            key=lambda feature: json.dumps(feature[0]),
        )
        for each in (got, wanted.features)
    ]
    found = (
        [f"{len(sides[0])} features for {len(sides[1])}"] if len(sides[0]) != len(sides[1]) else []
    )
    for (values, geometry), (expected, stored) in zip(*sides, strict=False):
        if values != expected:
            found += [
                f"{name}: {a!r} for {b!r}"
                for name, a, b in zip(wanted.types, values, expected, strict=True)
                if a != b
            ]
        if not same_geometry(geometry, stored, tolerance):
            found.append(f"{shapely.to_wkt(geometry)} for {shapely.to_wkt(stored)} of {expected}")
    return found


def same_geometry(got: Any, wanted: Any, tolerance: float) -> bool:
    if got is None or wanted is None:
        return got is wanted
    return bool(shapely.equals_exact(got, wanted, tolerance))
