"""Evaluates logged changes for subscribers who select features.

A feature that enters the selection is inserted for the subscriber, one that leaves it is deleted.
Subscribers with the same query, apart from the bbox, share the work of the database: each logged
row is evaluated once for all of them. Bboxes are compared here, since every map has its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import orjson
import shapely
from shapely.geometry.base import BaseGeometry

from geosvc.database.changefeed.changes import Batch
from geosvc.database.pool import Database
from geosvc.database.reads.halving import read_in_halves
from geosvc.database.reads.unwritable_values import is_refusal
from geosvc.encode.sse import encode_event
from geosvc.errors import RequestError
from geosvc.model.bbox import Bbox
from geosvc.model.bounds import Bounds
from geosvc.model.change import Change, ChangeOperation
from geosvc.model.collection import Collection
from geosvc.model.crs import WGS84, bounds_in_degrees
from geosvc.model.principal import ANONYMOUS, Principal
from geosvc.model.row import Row
from geosvc.model.type_names import WHOLE_NUMBERS
from geosvc.query.change_log.selected import StatesPlan
from geosvc.requests.event_id import encode_event_id
from geosvc.requests.items import ItemsQuery

INSERT, UPDATE, DELETE, BULK, RESYNC = "insert", "update", "delete", "bulk", "resync"

SelectionGroup = tuple[Principal, ItemsQuery]
"""What subscribers of one group have in common; each change is evaluated once for the group."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which features a subscriber selects.

    Attributes:
        query: which features, and what of them; without the bbox where that is in WGS 84.
        box: longitudes and latitudes in degrees; None: everywhere.
        principal: who subscribes.
    """

    query: ItemsQuery
    box: Bbox | None = None
    principal: Principal = ANONYMOUS

    @classmethod
    def of(cls, query: ItemsQuery, principal: Principal) -> "Selection":
        """Makes the selection of a query."""
        if query.bbox is None or query.bbox.srid != WGS84:
            return cls(query, None, principal)
        return cls(replace(query, bbox=None), query.bbox, principal)

    @property
    def group(self) -> SelectionGroup:
        """What subscribers have in common who share the work of the database."""
        return self.principal, self.query


@dataclass(frozen=True, slots=True)
class State:
    """A feature before or after a change.

    Attributes:
        selected: whether the query selects it, apart from the bbox.
        text: the feature as GeoJSON in UTF-8; None where it is unknown.
        shape: its geometry in CRS84; None where it has none, GEOS refuses it, or nobody needs it.
        bounds: (xmin, ymin, xmax, ymax), degrees; None where they are unknown or there are none.
        nowhere: whether it has no geometry.
    """

    selected: bool
    text: bytes | None
    shape: BaseGeometry | None
    bounds: Bounds | None
    nowhere: bool = False

    def matches(self, box: Bbox | None) -> bool:
        """Whether it is selected and intersects a bbox.

        A feature without a geometry matches, as in items, and so does one of unknown bounds.
        """
        if not self.selected or box is None or self.nowhere or self.bounds is None:
            return self.selected
        if self.shape is not None and self.shape.is_empty:
            return False
        return any(self._intersects(part) for part in box.parts())

    def _intersects(self, box: Bbox) -> bool:
        assert self.bounds is not None
        xmin, ymin, xmax, ymax = self.bounds
        if xmax < box.xmin or xmin > box.xmax or ymax < box.ymin or ymin > box.ymax:
            return False
        is_within = box.xmin <= xmin and xmax <= box.xmax and box.ymin <= ymin and ymax <= box.ymax
        if self.shape is None or is_within:
            return True
        rectangle = shapely.box(box.xmin, box.ymin, box.xmax, box.ymax)
        try:
            return bool(shapely.intersects(self.shape, rectangle))
        except shapely.GEOSException:
            return True


ABSENT = State(False, None, None, None)
UNKNOWN = State(True, None, None, None)


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """A change for all subscribers with the same query; each has its own bbox.

    Attributes:
        content: of an insert, an update, or an event of many features.
        deleted_content: of a delete.
    """

    change: Change
    before: State
    after: State
    content: bytes
    deleted_content: bytes

    def for_box(self, box: Bbox | None) -> tuple[str, bytes] | None:
        """Returns the name and content of the event; None when the bbox is not concerned."""
        was_inside = self.before.matches(box)
        is_inside = self.after.matches(box)
        if self.change.rows is not None:
            is_concerned = box is None or was_inside or is_inside
            return (BULK, self.content) if is_concerned else None
        if is_inside:
            return (UPDATE, self.content) if was_inside else (INSERT, self.content)
        if was_inside:
            return DELETE, self.deleted_content
        return None


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """A change event whose texts are encoded once for all subscribers.

    Attributes:
        event_id: of all its texts.
        encoded: its texts by event name.
    """

    event: ChangeEvent
    event_id: str
    encoded: dict[str, bytes] = field(default_factory=dict)

    def encode_for(self, box: Bbox | None) -> bytes | None:
        """Encodes the event for a bbox; None when the bbox is not concerned."""
        named = self.event.for_box(box)
        if named is None:
            return None
        name, content = named
        text = self.encoded.get(name)
        if text is None:
            text = self.encoded[name] = encode_event(self.event_id, name, content)
        return text


async def evaluate_batch(
    database: Database,
    plan: StatesPlan,
    batch: Batch,
    epoch: str,
    *,
    needs_geometry: bool,
) -> list[EncodedEvent]:
    """Evaluates a batch of changes for subscribers with the same query.

    Args:
        epoch: of the log.
        needs_geometry: whether a subscriber has a bbox.
    Raises: RequestError.
    """
    of_rows: list[Change] = []
    for change in batch.changes:
        if change.operation not in (ChangeOperation.PUBLISH, ChangeOperation.UNPUBLISH):
            of_rows.append(change)
    events = await evaluate(database, plan, of_rows, needs_geometry=needs_geometry)
    encoded: list[EncodedEvent] = []
    for event in events:
        event_id = encode_event_id(epoch, batch.position(event.change))
        encoded.append(EncodedEvent(event, event_id))
    return encoded


async def evaluate(
    database: Database,
    plan: StatesPlan,
    changes: Sequence[Change],
    *,
    needs_geometry: bool,
) -> list[ChangeEvent]:
    """Evaluates changes of rows. Raises: RequestError."""
    collection, query = plan.collection, plan.query
    if not _logs_all_columns(collection):
        changes = [replace(change, old=None, new=None) for change in changes]
    logged: list[str] = []
    for change in changes:
        logged.extend(state for state in (change.old, change.new) if state is not None)
    rows: list[Row | None] = []
    if logged:
        rows = await _select(database, plan, logged, needs_geometry=needs_geometry)
    following = iter(rows)
    return [_event_of(collection, query, change, following) for change in changes]


async def _select(
    database: Database,
    plan: StatesPlan,
    states: Sequence[str],
    *,
    needs_geometry: bool,
) -> list[Row | None]:
    """Returns a row of the plan for each state; None where PostGIS or a type refuses it.

    A refusal fails the whole statement, so that halves are tried until the bad state is alone.
    """

    async def read(some: Sequence[str]) -> list[Row | None]:
        statement = plan.select(some, with_geometry=needs_geometry)
        return list(await database.fetch(statement))

    return await read_in_halves(states, read, is_refusal, _unreadable_state)


async def _unreadable_state(_: str, __: RequestError) -> list[Row | None]:
    return [None]


def _event_of(
    collection: Collection, query: ItemsQuery, change: Change, rows: Iterator[Row | None]
) -> ChangeEvent:
    old_bounds = _bounds_in_degrees(collection, change.old_box)
    new_bounds = _bounds_in_degrees(collection, change.new_box)
    if change.rows is not None:
        return _event_of_many(change, old_bounds, new_bounds)
    before = after = ABSENT
    if change.operation is not ChangeOperation.INSERT:
        before = _state_of(change.old, old_bounds, rows)
    if change.operation is not ChangeOperation.DELETE:
        after = _state_of(change.new, new_bounds, rows)
    deleted_content = orjson.dumps(_identify(collection, query, change.key, old_bounds))
    content = after.text
    if not content:
        content = orjson.dumps(_identify(collection, query, change.key, new_bounds))
    return ChangeEvent(change, before, after, content, deleted_content)


def _event_of_many(
    change: Change, old_bounds: Bounds | None, new_bounds: Bounds | None
) -> ChangeEvent:
    """Makes the event of a statement that is logged as one change."""
    before = State(old_bounds is not None, None, None, old_bounds)
    after = State(new_bounds is not None, None, None, new_bounds)
    if old_bounds is None and new_bounds is None:
        after = UNKNOWN
    content = orjson.dumps(
        {
            "operation": change.operation.name_in_events,
            "rows": change.rows or None,
            "bbox": _union(old_bounds, new_bounds),
        }
    )
    return ChangeEvent(change, before, after, content, b"")


def _union(one: Bounds | None, other: Bounds | None) -> Bounds | None:
    if one is None or other is None:
        return one or other
    return (
        min(one[0], other[0]),
        min(one[1], other[1]),
        max(one[2], other[2]),
        max(one[3], other[3]),
    )


def _logs_all_columns(collection: Collection) -> bool:
    """Whether the log has all columns; those added after the table was published are missing."""
    if collection.publication is None:
        return False
    return {column.name for column in collection.columns} <= set(collection.publication.columns)


def _bounds_in_degrees(collection: Collection, box: Bounds | None) -> Bounds | None:
    """Converts a box of the log; None where it belongs to another geometry column."""
    publication = collection.publication
    if box is None or publication is None or publication.geometry != collection.geometry.name:
        return None
    return bounds_in_degrees(collection.geometry.srid, box)


def _state_of(logged: str | None, bounds: Bounds | None, rows: Iterator[Row | None]) -> State:
    """Reads the state of a feature.

    An unknown state counts as selected: an event too many is better than one that is missing.
    """
    row = next(rows) if logged is not None else None
    if row is None:
        return State(True, None, None, bounds)
    selected, text, shape = row[0], row[1], row[2]
    if not isinstance(shape, BaseGeometry):
        return State(selected, text, None, bounds, nowhere=shape is None)
    west, south, east, north = (float(edge) for edge in shape.bounds)
    return State(selected, text, shape, (west, south, east, north))


def _identify(
    collection: Collection, query: ItemsQuery, key: str | None, bounds: Bounds | None
) -> dict[str, object]:
    """Describes a feature that is deleted, or was too large for the log."""
    identity: object = key
    if key is not None and _is_number(collection, query):
        identity = int(key)
    return {"id": identity, "bbox": bounds}


def _is_number(collection: Collection, query: ItemsQuery) -> bool:
    """Whether GeoJSON has the feature id as a number."""
    if len(collection.key_columns) != 1:
        return False
    type_name = collection.key_columns[0].type_name
    if type_name == "int8" and query.bigint_as_text:
        return False
    return type_name in WHOLE_NUMBERS
