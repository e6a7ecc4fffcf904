"""Many features into a collection, in one transaction: piece by piece, each within a savepoint.

A piece that the database refuses is tried in halves, until the feature is found that is at fault: its index goes into the
error, or, where the good ones are to be kept, into the report.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import asyncpg
import numpy as np
from numpy.typing import NDArray

from geosvc.database.mutations import Plans
from geosvc.database.sqlstate import translate_write
from geosvc.database.writing import Transaction, try_again
from geosvc.errors import BodyTooLarge, Conflict, InvalidFeature, RequestError
from geosvc.model.collection import Collection
from geosvc.model.crs import Crs
from geosvc.model.row import Row
from geosvc.query.mutations import OnConflict, Planned, Returning, Source
from geosvc.requests.posted import FeatureReader, Posted
from geosvc.requests.posted_faults import value_at_fault

Rejection = tuple[int, RequestError]


@dataclass(slots=True)
class Report:
    """What became of the features.

    Attributes:
        rejected: (index, why), those that could not be stored.
        repaired: (index, what was changed), `Loading.max_rejected` of them at the most.
        ids: (index, id) of those that were stored; None when there are too many to tell, or features have none.
    """

    received: int = 0
    created: int = 0
    updated: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    repaired: list[tuple[int, str]] = field(default_factory=list)
    number_repaired: int = 0
    ids: list[tuple[int, str]] | None = field(default_factory=list)


class SeenKeys:
    """The ids of a body so far, as hashes of 64 bits: eight bytes each, in sorted runs that are merged as they grow."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.int64]] = []

    def add(self, keys: Sequence[object]) -> list[int]:
        """Takes note of keys. Returns: the places of those that were there before."""
        hashes = np.fromiter(map(hash, keys), dtype=np.int64, count=len(keys))
        _, first = np.unique(hashes, return_index=True)
        again = np.ones(len(hashes), dtype=bool)
        again[first] = False
        for run in self._runs:
            found = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            again |= run[found] == hashes
        run = np.sort(hashes[~again])
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate((self._runs.pop(), run)))
        if len(run):
            self._runs.append(run)
        return [int(place) for place in np.flatnonzero(again)]


@dataclass(frozen=True, slots=True)
class Loading:
    """How features are loaded.

    Attributes:
        upsert: a feature whose id is taken replaces the one that has it.
        lenient: bad features are left out and reported, rather than failing all.
        max_rejected: from more on, everything is refused.
        max_ids: from more on, ids are not told.
    """

    collection: Collection
    reader: FeatureReader
    plans: Plans
    crs: Crs
    keyed: bool
    upsert: bool
    lenient: bool
    max_rejected: int
    max_ids: int


class BulkLoad:
    """One load: it is fed with features, and its report tells what became of them."""

    def __init__(self, loading: Loading) -> None:
        self._loading = loading
        self._seen = SeenKeys()
        self.report = Report(ids=[] if loading.collection.key else None)

    def reject(self, refused: Sequence[Rejection]) -> None:
        """Takes note of features that cannot be stored.

        Raises: RequestError, the first of them, unless bad ones are only reported; BodyTooLarge when there are too many.
        """
        if refused and not self._loading.lenient:
            raise _with_index(refused[0])
        self.report.rejected += refused
        if len(self.report.rejected) > self._loading.max_rejected:
            raise BodyTooLarge(f"more than {self._loading.max_rejected} features are bad; nothing was stored")

    async def run(self, transaction: Transaction, pieces: AsyncIterator[Posted]) -> Report:
        """Stores all pieces. Raises: RequestError; what asyncpg raises."""
        async for posted in pieces:
            await self.store(transaction, posted)
        self.report.rejected.sort(key=lambda each: each[0])
        if self.report.ids is not None:
            self.report.ids.sort()
        return self.report

    async def store(self, transaction: Transaction, posted: Posted) -> None:
        """Stores the features of a piece."""
        self.report.number_repaired += len(posted.repairs)
        room = self._loading.max_rejected - len(self.report.repaired)
        self.report.repaired += posted.repairs[:room]
        if self._loading.upsert:
            posted = self._without_duplicates(posted)
        groups: dict[int, list[int]] = defaultdict(list)
        for place, present in enumerate(posted.present):
            groups[present].append(place)
        for present, places in groups.items():
            part = posted if len(groups) == 1 else posted.part(places)
            await self._store_part(transaction, part, present)

    def _without_duplicates(self, posted: Posted) -> Posted:
        again = set(self._seen.add(posted.keys))
        if not again:
            return posted
        fault = InvalidFeature("the same id is there twice", pointer="/id")
        self.reject([(posted.indexes[place], fault) for place in sorted(again)])
        return posted.part(place for place in range(len(posted)) if place not in again)

    async def _store_part(self, transaction: Transaction, posted: Posted, present: int) -> None:
        """Stores features whose values are for the same columns; halves them when the database refuses one."""
        try:
            await self._insert(transaction, posted, self._plan(present))
        except asyncpg.PostgresError as error:
            refusal = translate_write(error, transaction.statement)
            if not isinstance(refusal, InvalidFeature | Conflict):
                raise
            if len(posted) == 1:
                self.reject([(posted.indexes[0], self._explain(refusal, posted))])
                return
            half = len(posted) // 2
            await self._store_part(transaction, posted.part(range(half)), present)
            await self._store_part(transaction, posted.part(range(half, len(posted))), present)

    def _explain(self, refusal: RequestError, posted: Posted) -> RequestError:
        if refusal.pointer is not None or refusal.constraint is not None or not isinstance(refusal, InvalidFeature):
            return refusal
        return value_at_fault(self._loading.collection, posted.properties[0]) or refusal

    def _plan(self, present: int) -> Planned:
        loading = self._loading
        source = Source(loading.reader.columns_of(present), loading.keyed, loading.crs)
        returning = Returning.COUNTS if self.report.ids is None else Returning.IDS
        on_conflict = OnConflict.UPDATE if loading.upsert else OnConflict.FAIL
        return loading.plans.insert(loading.collection, source, returning, on_conflict)

    async def _insert(self, transaction: Transaction, posted: Posted, plan: Planned) -> None:
        """Stores features within a savepoint, again after a deadlock. Raises: what asyncpg raises."""

        async def once() -> Sequence[Row]:
            async with transaction.savepoint():
                return await transaction.fetch(plan.of(posted))

        self._count(await try_again(once, lambda: transaction.statement), posted)

    def _count(self, rows: Sequence[Row], posted: Posted) -> None:
        report = self.report
        if report.ids is None:
            stored, created = rows[0]
        else:
            stored, created = len(rows), sum(made for _, made in rows)
            # a trigger may have dropped some: then nobody knows which is whose
            told = len(rows) == len(posted) and len(report.ids) + stored <= self._loading.max_ids
            if told:
                report.ids += [(index, row[0]) for index, row in zip(posted.indexes, rows, strict=True)]
            else:
                report.ids = None
        report.created += created
        report.updated += stored - created


def _with_index(rejection: Rejection) -> RequestError:
    index, error = rejection
    error.index = index
    return error
