"""Read the changes of one published table, in the order of publication (docs/decisions/0022).

The transactions of a read come in the order of their last change, each of them as a whole. This
order is right for each feature: whoever changes a feature after another transaction has waited for
the end of that transaction, and so makes its own last change later.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from geosvc.database.pool import Database
from geosvc.model.change import Change, ChangeOperation, parse_box
from geosvc.model.row import Row
from geosvc.model.snapshot import Position, Snapshot
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement

BATCH = 500
FIRST_BATCH = 100
# of rows as JSON; the queue of a subscriber is bounded, and is sent between batches
BATCH_BYTES = 1 << 18


class LogEnds(Exception):
    """The log no longer contains the position where a subscriber wants to continue."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some changes in their order, at least one.

    Attributes:
        seen, upto: the changes are visible in `upto` and not in `seen`.
    """

    seen: Snapshot
    upto: Snapshot
    changes: Sequence[Change]

    def position(self, change: Change) -> Position:
        """Return the position after one of the changes."""
        return Position(self.seen, self.upto, change.place, change.seq)


async def read_changes(
    database: Database, publication: int, start: Position, upto: Snapshot
) -> AsyncGenerator[Batch, None]:
    """Read all changes after a position that a later snapshot sees.

    Yields: batches, in order, of at most BATCH changes and BATCH_BYTES; one change may be larger.
    Raises: LogEnds, RequestError.
    """
    seen = start.seen
    if start.partly_seen is not None:
        async with aclosing(_read(database, publication, start, start.partly_seen)) as batches:
            async for batch in batches:
                yield batch
        seen = start.partly_seen
    async with aclosing(_read(database, publication, Position(seen), upto)) as batches:
        async for batch in batches:
            yield batch


async def _read(
    database: Database, publication: int, start: Position, upto: Snapshot
) -> AsyncGenerator[Batch, None]:
    """Read with one statement first, since most reads find few changes, then with a cursor."""
    rest = start
    while True:
        statement = _statement(publication, rest, upto, FIRST_BATCH + 1)
        rows = await database.fetch(statement)
        _check_horizon(rows, start)
        changes = [_change(row) for row in rows[1:]]
        for piece in _split(changes):
            yield Batch(start.seen, upto, piece)
        if len(changes) < FIRST_BATCH:
            return
        rest = Position(start.seen, upto, changes[-1].place, changes[-1].seq)
        # a cursor holds a connection while the consumer handles a batch and may need one itself
        if database.largest > 1:
            break
    async with aclosing(_stream(database, publication, rest, upto)) as stream:
        async for changes in stream:
            for piece in _split(changes):
                yield Batch(start.seen, upto, piece)


async def _stream(
    database: Database, publication: int, start: Position, upto: Snapshot
) -> AsyncGenerator[list[Change], None]:
    """Read all changes after a position with a cursor. Raises: LogEnds, RequestError."""
    statement = _statement(publication, start, upto, None)
    is_first = True
    async with aclosing(database.stream(statement, _next_rows)) as batches:
        async for rows in batches:
            change_rows = rows
            if is_first:
                _check_horizon(rows, start)
                change_rows = rows[1:]
                is_first = False
            yield [_change(row) for row in change_rows]


def _next_rows(rows: Sequence[Row]) -> int:
    """How many rows to fetch after these."""
    stored_bytes = 0
    for row in rows:
        stored_bytes += len(row[8] or "") + len(row[9] or "")
    if not stored_bytes:
        return FIRST_BATCH
    wanted_rows = BATCH_BYTES * len(rows) // stored_bytes
    return max(1, min(BATCH, wanted_rows))


def _split(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Divide changes into pieces of at most BATCH_BYTES, or of one change."""
    begin = 0
    piece_bytes = 0
    for number, change in enumerate(changes):
        change_bytes = len(change.old or "") + len(change.new or "")
        if piece_bytes + change_bytes > BATCH_BYTES and number > begin:
            yield changes[begin:number]
            begin = number
            piece_bytes = 0
        piece_bytes += change_bytes
    if changes:
        yield changes[begin:]


def _statement(publication: int, start: Position, upto: Snapshot, limit: int | None) -> Statement:
    args = (str(start.seen), str(upto), publication, start.place, start.seq, limit)
    return load_statement("feed_changes", args)


def _check_horizon(rows: Sequence[Row], start: Position) -> None:
    """Check that no change after a position was pruned.

    The first row has the youngest transaction that was pruned. It is missing if the table is no
    longer published.

    Raises: LogEnds.
    """
    if not rows or rows[0][1] >= start.seen.xmin:
        raise LogEnds


def _change(row: Row) -> Change:
    seq, xid, place, operation, key, count, old_box, new_box, old, new = row
    return Change(
        seq,
        xid,
        place,
        ChangeOperation(operation),
        key,
        count,
        parse_box(old_box),
        parse_box(new_box),
        old,
        new,
    )
