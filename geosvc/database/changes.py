"""Reading the changes of one published table, in the order in which they are told (docs/decisions/0022).

The transactions of a read come in the order of the last thing they did, each of them whole: who changed a feature
after somebody else waited for that transaction to end, so that its own last change is the later one.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from geosvc.database.pool import Database
from geosvc.model.change import Change, Operation, parse_box
from geosvc.model.row import Row
from geosvc.model.snapshot import Position, Snapshot
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement

BATCH = 500
FIRST_BATCH = 100
BATCH_BYTES = 1 << 18  # of states; what waits for a subscriber has a limit, and it gets to send between batches


class LogEnds(Exception):
    """The log does not reach back to where somebody wants to go on from."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some changes in their order, at least one.

    Attributes:
        seen, upto: they are visible in `upto` and not in `seen`.
    """

    seen: Snapshot
    upto: Snapshot
    changes: Sequence[Change]

    def position(self, change: Change) -> Position:
        """The position behind one of them."""
        return Position(self.seen, self.upto, change.place, change.seq)


async def read_changes(database: Database, publication: int, start: Position, upto: Snapshot) -> AsyncGenerator[Batch, None]:
    """All changes behind a position that a later snapshot sees.

    Yields: batches of at most BATCH changes and, but for a single one, BATCH_BYTES.
    Raises: LogEnds, RequestError.
    """
    seen = start.seen
    if start.upto is not None:
        async with aclosing(_read(database, publication, start, start.upto)) as batches:
            async for batch in batches:
                yield batch
        seen = start.upto
    async with aclosing(_read(database, publication, Position(seen), upto)) as batches:
        async for batch in batches:
            yield batch


async def _read(database: Database, publication: int, start: Position, upto: Snapshot) -> AsyncGenerator[Batch, None]:
    """At first with one statement: most reads find few changes."""
    rest = start
    while True:
        rows = await database.fetch(_statement(publication, rest, upto, FIRST_BATCH + 1))
        _check_horizon(rows, start)
        changes = [_change(row) for row in rows[1:]]
        for some in _split(changes):
            yield Batch(start.seen, upto, some)
        if len(changes) < FIRST_BATCH:
            return
        rest = Position(start.seen, upto, changes[-1].place, changes[-1].seq)
        if database.largest > 1:  # else a cursor would have the connection that whoever takes these needs for them
            break
    first = True
    async with aclosing(database.stream(_statement(publication, rest, upto, None), _how_many)) as batches:
        async for batch in batches:
            if first:
                _check_horizon(batch, start)
            changes = [_change(row) for row in (batch[1:] if first else batch)]
            first = False
            for some in _split(changes):
                yield Batch(start.seen, upto, some)


def _how_many(rows: Sequence[Row]) -> int:
    """How many to fetch after these."""
    stored = sum(len(row[8] or "") + len(row[9] or "") for row in rows)
    return max(1, min(BATCH, BATCH_BYTES * len(rows) // stored)) if stored else FIRST_BATCH


def _split(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Pieces of few bytes."""
    begin = stored = 0
    for number, change in enumerate(changes):
        more = len(change.old or "") + len(change.new or "")
        if stored + more > BATCH_BYTES and number > begin:
            yield changes[begin:number]
            begin, stored = number, 0
        stored += more
    if changes:
        yield changes[begin:]


def _statement(publication: int, start: Position, upto: Snapshot, limit: int | None) -> Statement:
    args = (str(start.seen), str(upto), publication, start.place, start.seq, limit)
    return load_statement("feed_changes", args)


def _check_horizon(rows: Sequence[Row], start: Position) -> None:
    """The first row tells what was pruned. Without it nothing is published. Raises: LogEnds."""
    if not rows or rows[0][1] >= start.seen.xmin:
        raise LogEnds


def _change(row: Row) -> Change:
    seq, xid, place, operation, key, count, old_box, new_box, old, new = row
    return Change(seq, xid, place, Operation(operation), key, count, parse_box(old_box), parse_box(new_box), old, new)
