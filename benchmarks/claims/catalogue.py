"""All claims, in the order of docs/claims.md."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.arena import Arena
from benchmarks.claims import (
    connections,
    cursors,
    formats,
    lists,
    loading,
    loops,
    orm,
    records,
    statements,
)
from benchmarks.claims.turns import Table


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that is said of the field, and how it is measured.

    Attributes:
        name: of its block in docs/claims.md.
        title: the heading of its section there.
    """

    name: str
    title: str
    measure: Callable[[Arena], Sequence[Table]]


CLAIMS = (
    Claim("async-orm", "Async against a synchronous ORM", orm.run),
    Claim("loop", "uvloop against asyncio", loops.run),
    Claim("format", "Binary against text", formats.run),
    Claim("statements", "The statement cache, on and off", statements.run),
    Claim("loading", "COPY against executemany against INSERT", loading.run),
    Claim("cursor", "A cursor against everything in memory", cursors.run),
    Claim("pool", "A pool against a connection for each request", connections.run),
    Claim("lists", "ANY against IN", lists.run),
    Claim("record", "Record against named tuple", records.run),
)
