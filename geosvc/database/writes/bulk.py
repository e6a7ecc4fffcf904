"""Insert many features into a collection in one transaction, in pieces, each within a savepoint.

A piece that the database refuses is halved until the feature at fault is found. Its index goes into
the error; if the valid features are stored nevertheless, it goes into the report.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import asyncpg

from geosvc.bodies.feature_faults import value_at_fault
from geosvc.bodies.feature_reader import FeatureReader
from geosvc.bodies.raw_feature import Posted
from geosvc.database.writes.plans import Plans
from geosvc.database.writes.seen_keys import SeenKeys
from geosvc.database.writes.transaction import Transaction
from geosvc.database.writes.write_errors import translate_write
from geosvc.database.writes.writer import try_again
from geosvc.errors import BodyTooLarge, Conflict, InvalidFeature, RequestError
from geosvc.model.collection import Collection
from geosvc.model.crs import Crs
from geosvc.model.row import Row
from geosvc.query.inserts import OnConflict
from geosvc.query.posted_rows import PostedColumns, WritePlan
from geosvc.query.returning import Returning

Rejection = tuple[int, RequestError]


@dataclass(slots=True)
class BulkReport:
    """The result of a load. An index is the number of a feature in the body, from 0.

    Attributes:
        rejected: (index, error) of the features that cannot be stored.
        repaired: (index, what was changed), at most `BulkOptions.max_rejected` of them.
        ids: (index, id) of the features that were stored; None if there are too many, or if
            features have no ids.
    """

    received: int = 0
    created: int = 0
    updated: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    repaired: list[tuple[int, str]] = field(default_factory=list)
    number_repaired: int = 0
    ids: list[tuple[int, str]] | None = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """How features are loaded.

    Attributes:
        keyed: whether the features bring their key.
        upsert: whether a feature replaces the stored one with the same id.
        lenient: whether invalid features are reported, instead of failing the load.
        max_rejected: with more invalid features, the whole load is refused.
        max_ids: with more features, the report has no ids.
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
    """One load. `run` or `store` stores its features, `report` has the result."""

    def __init__(self, options: BulkOptions) -> None:
        self._options = options
        self._seen = SeenKeys()
        self.report = BulkReport()
        if not options.collection.key:
            self.report.ids = None

    @property
    def rejections_to_failure(self) -> int:
        """How many more invalid features make the load fail. A reader can stop at as many."""
        if not self._options.lenient:
            return 1
        number_rejected = len(self.report.rejected)
        number_allowed = max(self._options.max_rejected - number_rejected, 0)
        return number_allowed + 1

    def reject(self, refused: Sequence[Rejection]) -> None:
        """Add features that cannot be stored to the report.

        Raises: RequestError, the first of them, if the load is not lenient; BodyTooLarge if there
            are too many.
        """
        if refused and not self._options.lenient:
            index, error = refused[0]
            error.index = index
            raise error
        self.report.rejected += refused
        if len(self.report.rejected) > self._options.max_rejected:
            raise BodyTooLarge(
                f"more than {self._options.max_rejected} features are invalid; nothing was stored"
            )

    async def run(self, transaction: Transaction, pieces: AsyncIterator[Posted]) -> BulkReport:
        """Store all pieces. Raises: RequestError; the errors of asyncpg."""
        async for posted in pieces:
            await self.store(transaction, posted)
        self.report.rejected.sort(key=itemgetter(0))
        if self.report.ids is not None:
            self.report.ids.sort()
        return self.report

    async def store(self, transaction: Transaction, posted: Posted) -> None:
        """Store the features of a piece. Raises: RequestError; the errors of asyncpg."""
        self._report_repairs(posted)
        if self._options.upsert:
            posted = self._without_duplicates(posted)
        # one statement sets the same columns of all of its features
        rows_by_columns: dict[int, list[int]] = defaultdict(list)
        for row, present in enumerate(posted.present):
            rows_by_columns[present].append(row)
        for present, rows in rows_by_columns.items():
            part = posted
            if len(rows_by_columns) > 1:
                part = posted.part(rows)
            await self._store_part(transaction, part, present)

    def _report_repairs(self, posted: Posted) -> None:
        self.report.number_repaired += len(posted.repairs)
        room = self._options.max_rejected - len(self.report.repaired)
        self.report.repaired += posted.repairs[:room]

    def _without_duplicates(self, posted: Posted) -> Posted:
        """The features whose ids come for the first time; the others are rejected."""
        repeated = set(self._seen.add(posted.keys))
        if not repeated:
            return posted
        error = InvalidFeature("the body contains the same id twice", pointer="/id")
        rejections: list[Rejection] = []
        remaining: list[int] = []
        for row, index in enumerate(posted.indexes):
            if row in repeated:
                rejections.append((index, error))
            else:
                remaining.append(row)
        self.reject(rejections)
        return posted.part(remaining)

    async def _store_part(self, transaction: Transaction, posted: Posted, present: int) -> None:
        """Store features that set the same columns; halve them if the database refuses one."""
        try:
            await self._insert(transaction, posted, self._plan(present))
        except asyncpg.PostgresError as error:
            refusal = translate_write(error, transaction.statement)
            if not isinstance(refusal, InvalidFeature | Conflict):
                raise
            if len(posted) == 1:
                explained = self._explain(refusal, posted)
                self.reject([(posted.indexes[0], explained)])
                return
            half = len(posted) // 2
            first = posted.part(range(half))
            second = posted.part(range(half, len(posted)))
            await self._store_part(transaction, first, present)
            await self._store_part(transaction, second, present)

    def _explain(self, refusal: RequestError, posted: Posted) -> RequestError:
        """The error with the value at fault, if PostgreSQL does not say which one it is."""
        is_explained = refusal.pointer is not None or refusal.constraint is not None
        if is_explained or not isinstance(refusal, InvalidFeature):
            return refusal
        return value_at_fault(self._options.collection, posted.properties[0]) or refusal

    def _plan(self, present: int) -> WritePlan:
        """The statement for features that set some columns.

        Args:
            present: a bit for each column with a default.
        """
        options = self._options
        columns = options.reader.columns_of(present)
        source = PostedColumns(columns, options.keyed, options.crs)
        returning = Returning.IDS
        if self.report.ids is None:
            returning = Returning.COUNTS
        on_conflict = OnConflict.FAIL
        if options.upsert:
            on_conflict = OnConflict.UPDATE
        return options.plans.insert(options.collection, source, returning, on_conflict)

    async def _insert(self, transaction: Transaction, posted: Posted, plan: WritePlan) -> None:
        """Insert features within a savepoint, again after a deadlock.

        Raises: the errors of asyncpg.
        """

        async def once() -> Sequence[Row]:
            async with transaction.savepoint():
                return await transaction.fetch(plan.of(posted))

        def name() -> str:
            return transaction.statement

        self._count(await try_again(once, name), posted)

    def _count(self, rows: Sequence[Row], posted: Posted) -> None:
        """Add the result of a statement to the report."""
        ids = self.report.ids
        if ids is None:
            stored, created = rows[0]
        else:
            stored = len(rows)
            created = sum(is_created for _, is_created in rows)
            # a trigger may have dropped some features: no row can then be matched to its feature
            is_complete = stored == len(posted)
            if is_complete and len(ids) + stored <= self._options.max_ids:
                feature_ids = [feature_id for feature_id, _ in rows]
                ids += zip(posted.indexes, feature_ids, strict=True)
            else:
                self.report.ids = None
        self.report.created += created
        self.report.updated += stored - created
