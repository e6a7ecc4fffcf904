"""Record against named tuple, dict and struct: making one from a row, and reading a value."""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import make_dataclass
from sys import getsizeof
from time import perf_counter, process_time
from typing import Any

import asyncpg
import msgspec

from benchmarks.arena import Arena
from benchmarks.claims.session import open_session
from benchmarks.claims.turns import Sample, Table, take_turns
from benchmarks.data import COLLECTION

_ROWS = 10_000
_COLUMNS = (
    "id", "osm_id", "version", "edited", "name", "kind", "levels", "street", "house_number",
    "postcode", "city", "tags",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM {COLLECTION} ORDER BY id LIMIT {_ROWS}"

Make = Callable[[asyncpg.Record], Any]
Read = Callable[[Any], Any]


def run(arena: Arena) -> list[Table]:
    """Nanoseconds for each of 10,000 rows of twelve columns."""
    with open_session(arena.url) as session:
        rows = session.run(lambda connection: connection.fetch(_SELECT))
    return [_making(arena, rows), _reading(arena, rows)]


def _makes() -> Mapping[str, Make]:
    make_named: Any = namedtuple  # noqa: PYI024  # its columns are not known to a type checker
    row_tuple = make_named("row_tuple", _COLUMNS)
    row_class: Any = make_dataclass("row_class", _COLUMNS, slots=True)
    row_struct: Any = msgspec.defstruct("row_struct", [(name, Any) for name in _COLUMNS])
    return {
        "Record, as it came": lambda row: row,
        "tuple": tuple,
        "named tuple": row_tuple._make,
        "dict": dict,
        "struct of msgspec": lambda row: row_struct(*row),
        "dataclass with slots": lambda row: row_class(*row),
    }


def _making(arena: Arena, rows: Sequence[asyncpg.Record]) -> Table:
    def contender(make: Make) -> Callable[[], Sample]:
        size_bytes = getsizeof(make(rows[0]))
        return lambda: {"ns CPU": _nanoseconds(make, rows, arena), "bytes": size_bytes}

    makes = dict(_makes())
    contenders = {"nothing, as Record": contender(makes.pop("Record, as it came"))}
    contenders |= {name: contender(make) for name, make in makes.items()}
    return Table("made of a Record", take_turns(contenders, arena.effort.rounds))


def _reading(arena: Arena, rows: Sequence[asyncpg.Record]) -> Table:
    makes = _makes()
    reads: Mapping[str, tuple[str, Read]] = {
        'Record, `row["city"]`': ("Record, as it came", lambda row: row["city"]),
        "Record, `row[10]`": ("Record, as it came", lambda row: row[10]),
        "tuple, `row[10]`": ("tuple", lambda row: row[10]),
        "named tuple, `row.city`": ("named tuple", lambda row: row.city),
        'dict, `row["city"]`': ("dict", lambda row: row["city"]),
        "struct of msgspec, `row.city`": ("struct of msgspec", lambda row: row.city),
        "dataclass with slots, `row.city`": ("dataclass with slots", lambda row: row.city),
    }

    def contender(made: str, read: Read) -> Callable[[], Sample]:
        values = [makes[made](row) for row in rows]
        return lambda: {"ns CPU": _nanoseconds(read, values, arena)}

    contenders = {name: contender(made, read) for name, (made, read) in reads.items()}
    return Table("a value read", take_turns(contenders, arena.effort.rounds))


def _nanoseconds(function: Callable[[Any], Any], values: Sequence[Any], arena: Arena) -> float:
    """Of the processor for one call, with the loop around it."""
    until = perf_counter() + arena.effort.seconds / 4
    calls, used = 0, process_time()
    while perf_counter() < until:
        for value in values:
            function(value)
        calls += len(values)
    return (process_time() - used) / calls * 1e9
