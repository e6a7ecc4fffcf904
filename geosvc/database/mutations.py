"""Single features made, changed and deleted, each by one statement that decides its own preconditions.

The rows of a view are not its own: there a feature is changed in a transaction that sees one snapshot, so that somebody
else's change in between makes it start anew, and it is read again when the triggers are done.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from geosvc.database.writing import Writer
from geosvc.errors import InvalidFeature, NotFound, PreconditionFailed, RequestError
from geosvc.model.collection import Collection
from geosvc.model.crs import CRS84, Crs
from geosvc.model.feature import StoredFeature
from geosvc.model.row import Row
from geosvc.query.features import select_item
from geosvc.query.mutations import (
    Assignments,
    OnConflict,
    Planned,
    Returning,
    Source,
    delete_feature,
    plan_insert,
    update_feature,
)
from geosvc.requests.feature_id import parse_feature_id
from geosvc.requests.geometries import GeometryRules
from geosvc.requests.items import GeometryStyle, ItemsRequest
from geosvc.requests.posted import FeatureReader, Posted
from geosvc.requests.preconditions import Preconditions
from geosvc.requests.properties import Mode
from geosvc.sql.compose import Statement

Fetch = Callable[[Statement], Awaitable[Sequence[Row]]]
MAX_PLANS = 512


@dataclass(frozen=True, slots=True)
class Target:
    """A feature that is to be changed.

    Attributes:
        key: its key values.
        feature_id: as it stands in the URL.
        representation: the CRS in which the feature is wanted in return; None when it is not wanted.
    """

    collection: Collection
    key: tuple[str, ...]
    feature_id: str
    preconditions: Preconditions
    representation: Crs | None


def _whole(crs: Crs) -> ItemsRequest:
    """A feature with all that belongs to it."""
    return ItemsRequest(limit=1, geometry=GeometryStyle(crs=crs))


class Plans:
    """INSERT statements by what they take. Making one costs more than running it."""

    def __init__(self) -> None:
        self._plans: dict[tuple[object, ...], tuple[Collection, Planned]] = {}

    def insert(self, collection: Collection, source: Source, returning: Returning, on_conflict: OnConflict) -> Planned:
        """The statement for these sources."""
        names = tuple(column.name for column in source.columns)
        # the entry holds the collection, so no other can get its id() while the entry is here
        kind = (id(collection), names, source.keyed, source.crs, returning, on_conflict)
        entry = self._plans.get(kind)
        if entry is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            entry = collection, plan_insert(collection, source, _whole(source.crs), returning, on_conflict)
            self._plans[kind] = entry
        return entry[1]


class Writes:
    """What writes are made with: the writer, and the plans and readers, which are made once.

    Making a reader compiles a decoder for the columns of its collection.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.plans = Plans()
        self._readers: dict[tuple[object, ...], tuple[Collection, FeatureReader]] = {}

    def reader(self, collection: Collection, mode: Mode, rules: GeometryRules, *, lenient: bool, keyed: bool) -> FeatureReader:
        """The reader of posted features of a collection."""
        kind = (id(collection), mode, rules.crs, rules.repair, lenient, keyed)
        entry = self._readers.get(kind)
        if entry is None:
            if len(self._readers) >= MAX_PLANS:
                self._readers.clear()
            entry = collection, FeatureReader(collection, mode, rules, lenient=lenient, keyed=keyed)
            self._readers[kind] = entry
        return entry[1]


async def create_feature(
    fetch: Fetch, plan: Planned, collection: Collection, posted: Posted, *, representation: Crs | None
) -> StoredFeature | None:
    """Makes a feature; None when its id is taken and the plan says that nothing happens then. Raises: asyncpg's errors."""
    rows = await fetch(plan.of(posted))
    if not rows:
        return None
    feature_id, version, modified, text = rows[0]
    made = StoredFeature(text, version, modified, feature_id)
    if collection.is_view and feature_id is not None:
        return await _read_again(fetch, collection, feature_id, representation) or made
    return made


async def change_feature(fetch: Fetch, target: Target, assignments: Assignments) -> StoredFeature:
    """Changes a feature. Raises: NotFound, PreconditionFailed."""
    request = _whole(target.representation) if target.representation is not None else None
    statement = update_feature(target.collection, target.key, assignments, target.preconditions, request)
    there, feature_id, version, modified, text = (await fetch(statement))[0]
    if version is None:
        raise await refusal(fetch, target, there=there)
    if target.collection.is_view:
        again = await _read_again(fetch, target.collection, target.feature_id, target.representation)
        if again is not None:
            return again
    return StoredFeature(text, version, modified, feature_id)


async def remove_feature(fetch: Fetch, target: Target) -> None:
    """Deletes a feature. Raises: NotFound, PreconditionFailed."""
    there, deleted = (await fetch(delete_feature(target.collection, target.key, target.preconditions)))[0]
    if not deleted:
        raise await refusal(fetch, target, there=there)


async def refusal(fetch: Fetch, target: Target, *, there: bool) -> RequestError:
    """Why a feature was not changed."""
    conditions = target.preconditions
    now = await _read_again(fetch, target.collection, target.feature_id, None) if there else None
    if now is not None and conditions.hold(now):
        return InvalidFeature("a trigger of the database left the feature as it is")
    if there and conditions.protects:
        return PreconditionFailed("the feature was changed by somebody else; get it again, and decide anew")
    if conditions.match is not None and target.collection.put_creates:
        return PreconditionFailed(f"{target.collection.id} has no feature {target.feature_id!r}")
    return NotFound(f"{target.collection.id} has no feature {target.feature_id!r}")


async def _read_again(fetch: Fetch, collection: Collection, feature_id: str, crs: Crs | None) -> StoredFeature | None:
    """A feature as it is now, with its text when it is wanted in a CRS."""
    key = parse_feature_id(feature_id, collection)
    rows = await fetch(select_item(collection, _whole(crs or CRS84), key).statement)
    if not rows:
        return None
    return StoredFeature(rows[0][0] if crs is not None else None, rows[0][-2], rows[0][-1], feature_id)
