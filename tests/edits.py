"""Writers that edit a published table at random, and what they know of it: the truth that
subscribers are measured by.

Every state of a feature has a stamp of its own (`n`), and knows that of the state before
(`previous`).
"""

import asyncio
import random
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Any

import asyncpg

TABLE = """
CREATE SEQUENCE stamps;
CREATE TABLE places (id int PRIMARY KEY, n bigint NOT NULL DEFAULT nextval('stamps') UNIQUE, previous bigint, kind text,
                     geom geometry(Point, 4326));
INSERT INTO places SELECT i, nextval('stamps'), NULL, 'abc', ST_SetSRID(ST_Point(i, i), 4326) FROM generate_series(1, 20) i;
CREATE TABLE roads (id int PRIMARY KEY, geom geometry(Point, 4326));
"""
KINDS = ("a", "b", "c")
KEYS = 40
_RETURNING = "RETURNING id, n, previous, kind, ST_X(geom) AS x, ST_Y(geom) AS y"
_REFUSALS = (asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError)


@dataclass(frozen=True)
class State:
    """A state of a feature."""

    id: int
    n: int
    previous: int | None
    kind: str
    x: float
    y: float


@dataclass(frozen=True)
class Made:
    """A change that was made: of a feature, from one state to another."""

    id: int
    old: State | None
    new: State | None
    statement: int


@dataclass
class Edit:
    """A transaction that was committed, at a moment between two that the writer knows."""

    changes: list[Made]
    began: float
    ended: float


@dataclass
class Truth:
    """All that was committed."""

    states: dict[int, State] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)
    refused: int = 0
    rolled_back: int = 0


class Writer:
    """Somebody who edits. What it does is decided by `dice` alone."""

    fresh = count(1_000_000)
    copied = count(10_000_000_000)

    def __init__(
        self, connection: Any, truth: Truth, dice: random.Random, first_key: int = 1
    ) -> None:
        self._connection = connection
        self._truth = truth
        self._dice = dice
        self._first_key = first_key
        self._changes: list[Made] = []
        self._statement = 0

    def _keys(self, most: int) -> list[int]:
        return self._dice.sample(
            range(self._first_key, self._first_key + KEYS), self._dice.randint(1, most)
        )

    def _place(self) -> tuple[str, float, float]:
        return (
            self._dice.choice(KINDS),
            self._dice.randint(-20, 20) / 2,
            self._dice.randint(-20, 20) / 2,
        )

    def _took(self, row: asyncpg.Record) -> State:
        state = State(*row)
        self._truth.states[state.n] = state
        return state

    def _was_changed(self, row: asyncpg.Record) -> None:
        """An insert, or an update; one of the key is a delete and an insert."""
        new = self._took(row)
        old = self._truth.states[new.previous] if new.previous is not None else None
        if old is not None and old.id != new.id:
            self._changes.append(Made(old.id, old, None, self._statement))
            old = None
        self._changes.append(Made(new.id, old, new, self._statement))

    async def _run(self, sql: str, *args: Any) -> None:
        for row in await self._connection.fetch(f"{sql} {_RETURNING}", *args):
            self._was_changed(row)

    async def _insert(self) -> None:
        kind, x, y = self._place()
        await self._run(
            "INSERT INTO places (id, kind, geom) VALUES ($1, $2, ST_SetSRID(ST_Point($3, $4),"
            " 4326)) ON CONFLICT DO NOTHING",
            *(self._keys(1)[0], kind, x, y),
        )

    async def _insert_many(self) -> None:
        kind, x, y = self._place()
        await self._run(
            "INSERT INTO places (id, kind, geom) SELECT unnest($1::int[]), $2,"
            " ST_SetSRID(ST_Point($3, $4), 4326)"
            " ON CONFLICT DO NOTHING",
            *(self._keys(8), kind, x, y),
        )

    async def _update(self, most: int = 1) -> None:
        kind, x, y = self._place()
        await self._run(
            "UPDATE places SET previous = n, n = nextval('stamps'), kind = $2, geom ="
            " ST_SetSRID(ST_Point($3, $4), 4326)"
            " WHERE id = ANY($1::int[])",
            *(self._keys(most), kind, x, y),
        )

    async def _update_many(self) -> None:
        await self._update(12)

    async def _upsert(self) -> None:
        kind, x, y = self._place()
        await self._run(
            "INSERT INTO places (id, kind, geom) SELECT unnest($1::int[]), $2,"
            " ST_SetSRID(ST_Point($3, $4), 4326)"
            " ON CONFLICT (id) DO UPDATE SET previous = places.n, n = nextval('stamps'), kind ="
            " excluded.kind",
            *(self._keys(4), kind, x, y),
        )

    async def _move_key(self) -> None:
        keys = self._keys(2)
        await self._run(
            "UPDATE places SET previous = n, n = nextval('stamps'), id = $2 WHERE id = $1",
            keys[0],
            next(self.fresh),
        )

    async def _delete(self) -> None:
        for row in await self._connection.fetch(
            f"DELETE FROM places WHERE id = ANY($1::int[]) {_RETURNING}", self._keys(3)
        ):
            state = State(*row)
            self._changes.append(Made(state.id, state, None, self._statement))

    async def _copy(self) -> None:
        number = self._dice.randint(1, 10)
        made = [
            State(next(self.fresh), next(self.copied), None, *self._place()) for _ in range(number)
        ]
        lines = [
            f"{each.id}\t{each.n}\t\\N\t{each.kind}\tSRID=4326;POINT({each.x} {each.y})\n"
            for each in made
        ]
        await self._connection.copy_to_table(
            "places", source=iter_bytes("".join(lines)), format="text"
        )
        for state in made:
            self._truth.states[state.n] = state
            self._changes.append(Made(state.id, None, state, self._statement))

    async def _one_statement(self) -> None:
        choices = (
            self._insert,
            self._insert_many,
            self._update,
            self._update,
            self._update_many,
            self._upsert,
            self._move_key,
        )
        statement = self._dice.choice((*choices, self._delete, self._copy))
        self._statement += 1
        await statement()

    async def _some(self) -> None:
        """One statement, or some within a savepoint that may be rolled back."""
        if self._dice.random() < 0.75:
            await self._one_statement()
            return
        made = len(self._changes)
        savepoint = self._connection.transaction()
        await savepoint.start()
        for _ in range(self._dice.randint(1, 3)):
            await self._one_statement()
        if self._dice.random() < 0.5:
            await savepoint.rollback()
            del self._changes[made:]
        else:
            await savepoint.commit()

    async def edit(
        self, statements: int, pauses: float, *, ready: asyncio.Event | None = None
    ) -> None:
        """One transaction.

        Args:
            pauses: seconds between statements, at the most.
            ready: what it waits for with the commit.
        """
        self._changes, self._statement = [], 0
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            for _ in range(statements):
                await self._some()
                if pauses:
                    await asyncio.sleep(self._dice.uniform(0, pauses))
        except _REFUSALS:
            await transaction.rollback()
            self._truth.refused += 1
            return
        if ready is not None:
            await ready.wait()
        elif self._dice.random() < 0.12:
            await transaction.rollback()
            self._truth.rolled_back += 1
            return
        began = monotonic()
        await transaction.commit()
        if self._changes:
            self._truth.edits.append(Edit(self._changes, began, monotonic()))

    async def insert(self, feature: int, kind: str, x: float, y: float) -> None:
        """Makes this feature, in a transaction of its own."""
        self._changes, self._statement = [], 0
        began = monotonic()
        await self._run(
            "INSERT INTO places (id, kind, geom) VALUES ($1, $2, ST_SetSRID(ST_Point($3, $4),"
            " 4326))",
            feature,
            kind,
            x,
            y,
        )
        self._truth.edits.append(Edit(self._changes, began, monotonic()))

    async def follow(self, until: float) -> None:
        """Edits until then: mostly short transactions, some long, some a burst of single
        statements.
        """
        while monotonic() < until:
            dice = self._dice.random()
            if dice < 0.05:
                await self.edit(self._dice.randint(2, 4), 0.8)
            elif dice < 0.1:
                for _ in range(30):
                    await self.edit(1, 0)
            elif dice < 0.13:
                await self.edit(150, 0)
            else:
                await self.edit(self._dice.randint(1, 6), 0.01)
            await asyncio.sleep(self._dice.choice((0, 0, 0.01, 0.05, 0.12, 0.3)))


async def read_table(connection: Any) -> list[State]:
    """All states that the table holds."""
    return [
        State(*row)
        for row in await connection.fetch(
            "SELECT id, n, previous, kind, ST_X(geom), ST_Y(geom) FROM places"
        )
    ]


def iter_bytes(text: str) -> Any:
    """A source for COPY."""

    async def pieces() -> Any:
        yield text.encode()

    return pieces()
