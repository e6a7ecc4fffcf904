"""Create, change and delete single features; one statement also checks the preconditions.

Rows of a view belong to its tables. A feature of a view is changed in a transaction with one
snapshot: if another transaction changes it meanwhile, the write starts again. After the triggers
have run, the feature is read again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from geosvc.bodies.feature_change import ComparedParts, FeatureChange
from geosvc.bodies.raw_feature import Posted
from geosvc.database.reads.features import fetch_features
from geosvc.database.writes.change_target import ChangeTarget
from geosvc.database.writes.plans import whole_feature
from geosvc.database.writes.refused_change import explain_unchanged, read_stored
from geosvc.database.writes.transaction import Session
from geosvc.formats import GEOJSON_FORMAT
from geosvc.model.collection import Collection
from geosvc.model.crs import Crs
from geosvc.model.feature import StoredFeature
from geosvc.model.row import Row
from geosvc.offload.offload import Offload
from geosvc.query.features import FeaturePage, select_item
from geosvc.query.mutations import (
    ContentHash,
    Update,
    UpdateResult,
    delete_feature,
    update_feature,
)
from geosvc.query.posted_rows import WritePlan
from geosvc.query.versions import content_hash_of
from geosvc.requests.items import GeometryStyle, ItemsQuery
from geosvc.sql.compose import Statement

MAX_ATTEMPTS = 60
"""Attempts of an update, if other transactions change the feature meanwhile."""

# An update that fails although the hash was right has no future if a trigger prevents it, but
# succeeds in the end if others change the compared values and change them back.
_SAME_HASH_RETRIES = 20


@dataclass(frozen=True, slots=True)
class _SavepointReads:
    """Reads of a session that continues if one fails."""

    session: Session

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        return await self.session.read(statement)


async def create_feature(
    session: Session,
    plan: WritePlan,
    collection: Collection,
    posted: Posted,
    *,
    representation: Crs | None,
) -> StoredFeature | None:
    """Insert a feature; None if its id exists and the plan ignores such conflicts.

    Args:
        representation: the CRS of the feature in the response; None if the response has none.
    Raises: the errors of asyncpg.
    """
    rows = await session.fetch(plan.of(posted))
    if not rows:
        return None
    feature_id, version, modified, text = rows[0]
    created = StoredFeature(text, version, modified, feature_id)
    if collection.is_view_or_foreign and feature_id is not None:
        stored = await read_stored(session, collection, feature_id, representation)
        if stored is not None:
            return stored
    return created


async def change_feature(
    session: Session, target: ChangeTarget, change: FeatureChange, offload: Offload
) -> StoredFeature:
    """Change a feature.

    Values that are stored already are left out (docs/decisions/0033).

    Raises: NotFound, PreconditionFailed, InvalidFeature, RepeatedId.
    """
    update = Update(change, target.crs, target.preconditions, _representation(target))
    parts = await offload.run(change.weight, change.compared_parts, target.crs)
    if parts.is_empty:
        result = await _update(session, target, update)
    else:
        result = await _update_changed_parts(session, target, update, parts, offload)
    if result.version is None:
        raise await explain_unchanged(session, target, found=result.found)
    if target.collection.is_view_or_foreign:
        stored = await read_stored(
            session, target.collection, target.feature_id, target.representation
        )
        if stored is not None:
            return stored
    return StoredFeature(result.text, result.version, result.modified, result.feature_id)


async def _update(session: Session, target: ChangeTarget, update: Update) -> UpdateResult:
    rows = await session.fetch(update_feature(target.collection, target.key, update))
    return UpdateResult(*rows[0])


async def _update_changed_parts(
    session: Session, target: ChangeTarget, update: Update, parts: ComparedParts, offload: Offload
) -> UpdateResult:
    """Read the stored values of some parts, then update those parts that differ.

    If the update finds the feature and does not change it, both are repeated. The causes:

    - Other transactions change the compared values between the read and the update. Each read has
      another hash; after MAX_ATTEMPTS the update is given up.
    - Others change the values and change them back, so that each read has the same hash. The update
      is tried again _SAME_HASH_RETRIES times.
    - A trigger prevents the update, or rows of a foreign table share a ctid. The hash stays the
      same here too, so nothing distinguishes it from the cause before, and the same limit ends it.
    - Another transaction deletes the feature, adds one with the same id, or makes a precondition
      false. The next read raises the error.

    Raises: NotFound, PreconditionFailed, InvalidFeature, RepeatedId.
    """
    attempts: Counter[ContentHash | None] = Counter()
    while True:
        remaining = await _without_unchanged(session, target, update, parts, offload)
        result = await _update(session, target, remaining)
        is_updated = result.version is not None
        if is_updated or not result.found:
            return result
        content_hash = remaining.content_hash
        attempts[content_hash] += 1
        if attempts[content_hash] > _SAME_HASH_RETRIES or attempts.total() == MAX_ATTEMPTS:
            return result


def _representation(target: ChangeTarget) -> ItemsQuery | None:
    """The query for the feature in the response; None if the response has none."""
    if target.representation is None:
        return None
    return whole_feature(target.representation)


async def _without_unchanged(
    session: Session, target: ChangeTarget, update: Update, parts: ComparedParts, offload: Offload
) -> Update:
    """The update without the values that are stored already.

    It has a content hash, so that it changes nothing if the compared values differ from those that
    are read here.

    Raises: NotFound, PreconditionFailed, InvalidFeature, RepeatedId.
    """
    change = update.change
    page, names = _select_compared(target, parts)
    rows = await fetch_features(_SavepointReads(session), page)
    if len(rows) != 1:
        raise await explain_unchanged(session, target, found=len(rows))
    text = rows[0][0]
    content_hash, version, modified = rows[0][-3:]
    if not target.preconditions.hold(StoredFeature(None, version, modified)):
        raise await explain_unchanged(session, target, found=1)
    weight = max(change.weight, len(text))
    remaining = await offload.run(weight, change.without_unchanged, text)
    return replace(update, change=remaining, content_hash=ContentHash(names, content_hash))


def _select_compared(
    target: ChangeTarget, parts: ComparedParts
) -> tuple[FeaturePage, tuple[str, ...]]:
    """The page with the compared parts of a feature, and the names of their columns."""
    names = parts.properties
    if parts.has_geometry:
        names = (*names, target.collection.geometry.name)
    digits = target.precision
    if digits is None:
        digits = parts.digits
    style = GeometryStyle(skip=not parts.has_geometry, precision=digits, crs=target.crs)
    query = ItemsQuery(limit=1, properties=parts.properties, geometry=style)
    content_hash = content_hash_of(names)
    page = select_item(target.collection, query, GEOJSON_FORMAT, target.key, content_hash)
    return page, names


async def remove_feature(session: Session, target: ChangeTarget) -> None:
    """Delete a feature. Raises: NotFound, PreconditionFailed, RepeatedId."""
    statement = delete_feature(target.collection, target.key, target.preconditions)
    rows = await session.fetch(statement)
    found, deleted = rows[0]
    if not deleted:
        raise await explain_unchanged(session, target, found=found)
