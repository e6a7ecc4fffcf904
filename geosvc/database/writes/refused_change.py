"""Find out why a statement changed no feature."""

from geosvc.database.reads.features import repeated_id
from geosvc.database.writes.change_target import ChangeTarget
from geosvc.database.writes.plans import whole_feature
from geosvc.database.writes.transaction import Session
from geosvc.errors import InternalError, InvalidFeature, NotFound, PreconditionFailed, RequestError
from geosvc.formats import GEOJSON_FORMAT
from geosvc.model.collection import Collection, RelationKind
from geosvc.model.crs import CRS84, Crs
from geosvc.model.feature import StoredFeature
from geosvc.query.features import select_item
from geosvc.values.feature_id import parse_feature_id

_CHANGED = "another client changed the feature: get it again before you change it"
_WEAK = (
    'If-Match compares strong tags, and W/"…" is weak, so it matches nothing (RFC 9110 13.1.1). A'
    " proxy that compresses may have made it weak: send the tag without W/"
)


async def read_stored(
    session: Session, collection: Collection, feature_id: str, crs: Crs | None
) -> StoredFeature | None:
    """Read a feature as it is stored now; None if the id does not name exactly one.

    Args:
        crs: of the text of the feature; None: the result has no text.
    """
    key = parse_feature_id(feature_id, collection)
    page = select_item(collection, whole_feature(crs or CRS84), GEOJSON_FORMAT, key)
    rows = await session.fetch(page.statement)
    if len(rows) != 1:
        return None
    text, *_, version, modified = rows[0]
    if crs is None:
        text = None
    return StoredFeature(text, version, modified, feature_id)


async def explain_unchanged(session: Session, target: ChangeTarget, *, found: int) -> RequestError:
    """Return the error that says why a feature was not changed.

    Args:
        found: how many features have its id.
    """
    if found > 1:
        return repeated_id(target.collection)
    collection, conditions = target.collection, target.preconditions
    stored = None
    if found:
        stored = await read_stored(session, collection, target.feature_id, None)
    if stored is not None and conditions.hold(stored):
        return _ignored_update(collection)
    if found and conditions.protects:
        if stored is not None and stored.version in conditions.weak:
            return PreconditionFailed(_WEAK)
        return PreconditionFailed(_CHANGED)
    detail = f"{collection.id} has no feature {target.feature_id!r}"
    if conditions.match is not None and collection.put_creates:
        return PreconditionFailed(detail)
    return NotFound(detail)


def _ignored_update(collection: Collection) -> RequestError:
    """The error for an UPDATE that changed nothing although its conditions are true."""
    if collection.kind is not RelationKind.FOREIGN_TABLE:
        return InvalidFeature("a trigger of the database left the feature unchanged")
    return InternalError(
        f"several rows of {collection.schema}.{collection.name} have the same ctid on their"
        " server, where the table has partitions or children: write to that server"
    )
