"""What changes are to subscribers who select: a feature that comes into the selection is inserted, one that leaves it deleted.

Subscribers who ask for the same, but for the box, share the database's work: each logged row is judged once for all of them.
Boxes are compared here, since every map has its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import orjson
import shapely
from shapely.geometry.base import BaseGeometry

from geosvc.database.changes import Batch
from geosvc.database.pool import Database
from geosvc.encode.sse import encode_event
from geosvc.errors import InvalidValue, UnreadableGeometry
from geosvc.model.bbox import Bbox
from geosvc.model.change import Bounds, Change, Operation
from geosvc.model.collection import Collection
from geosvc.model.crs import WGS84, bounds_in_degrees
from geosvc.model.row import Row
from geosvc.query.changes import select_states
from geosvc.requests.event_id import encode_event_id
from geosvc.requests.items import ItemsRequest

INSERT, UPDATE, DELETE, BULK, RESYNC = "insert", "update", "delete", "bulk", "resync"
_WHOLE_NUMBERS = ("int2", "int4", "int8")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a subscriber wants.

    Attributes:
        request: which features, and what of them; without the box, unless that is of another CRS.
        box: longitudes and latitudes; None: everywhere.
    """

    request: ItemsRequest
    box: Bbox | None = None

    @classmethod
    def of(cls, request: ItemsRequest) -> "Selection":
        """The selection of a request."""
        if request.bbox is None or request.bbox.srid != WGS84:
            return cls(request)
        return cls(replace(request, bbox=None), request.bbox)


@dataclass(frozen=True, slots=True)
class State:
    """A feature before or after a change.

    Attributes:
        selected: whether the request selects it.
        text: the feature in UTF-8; None where it is not known.
        shape: its geometry in CRS84; None where it has none, none that GEOS takes, or nobody asked.
        bounds: where it is; None where that is not known, or nowhere.
        nowhere: whether it has no geometry.
    """

    selected: bool
    text: bytes | None
    shape: BaseGeometry | None
    bounds: Bounds | None
    nowhere: bool = False

    def lies_in(self, box: Bbox | None) -> bool:
        """Whether it is selected and meets a box. What has no geometry does, as in items, and what may be anywhere."""
        if not self.selected or box is None or self.nowhere or self.bounds is None:
            return self.selected
        if self.shape is not None and self.shape.is_empty:
            return False
        return any(self._meets(part) for part in box.parts())

    def _meets(self, box: Bbox) -> bool:
        assert self.bounds is not None
        xmin, ymin, xmax, ymax = self.bounds
        if xmax < box.xmin or xmin > box.xmax or ymax < box.ymin or ymin > box.ymax:
            return False
        if self.shape is None or (box.xmin <= xmin and xmax <= box.xmax and box.ymin <= ymin and ymax <= box.ymax):
            return True
        try:
            return bool(shapely.intersects(self.shape, shapely.box(box.xmin, box.ymin, box.xmax, box.ymax)))
        except shapely.GEOSException:
            return True


ABSENT = State(False, None, None, None)


@dataclass(frozen=True, slots=True)
class Told:
    """A change as those who share a request are told of it, each by its box.

    Attributes:
        content: of an insert, an update, or an event of many features.
        gone: of a delete.
    """

    change: Change
    before: State
    after: State
    content: bytes
    gone: bytes

    def event(self, box: Bbox | None) -> tuple[str, bytes] | None:
        """The name and content of the event for a subscriber; None when it is none of its business."""
        if self.change.rows is not None:
            concerned = box is None or self.before.lies_in(box) or self.after.lies_in(box)
            return (BULK, self.content) if concerned else None
        was, is_ = self.before.lies_in(box), self.after.lies_in(box)
        if is_:
            return (UPDATE if was else INSERT), self.content
        return (DELETE, self.gone) if was else None


async def judge(
    database: Database, collection: Collection, request: ItemsRequest, changes: Sequence[Change], *, shapes: bool
) -> list[Told]:
    """What is told of changes to those who ask for the same.

    Args:
        shapes: whether somebody has a box.
    Raises: RequestError.
    """
    if not _is_whole(collection):
        changes = [replace(change, old=None, new=None) for change in changes]
    logged = [state for change in changes for state in (change.old, change.new) if state is not None]
    rows = iter(await _select(database, collection, request, logged, shapes=shapes) if logged else ())
    return [_told(collection, request, change, rows) for change in changes]


async def _select(
    database: Database, collection: Collection, request: ItemsRequest, states: Sequence[str], *, shapes: bool
) -> list[Row | None]:
    """The rows of `select_states`, None for those that PostGIS or a type refuses."""
    try:
        return list(await database.fetch(select_states(collection, request, states, shapes=shapes)))
    except (UnreadableGeometry, InvalidValue):
        if len(states) == 1:
            return [None]
    half = len(states) // 2
    return [
        *await _select(database, collection, request, states[:half], shapes=shapes),
        *await _select(database, collection, request, states[half:], shapes=shapes),
    ]


def _told(collection: Collection, request: ItemsRequest, change: Change, rows: Iterator[Row | None]) -> Told:
    old_bounds, new_bounds = _bounds(collection, change.old_box), _bounds(collection, change.new_box)
    if change.rows is not None:
        before, after = (State(each is not None, None, None, each) for each in (old_bounds, new_bounds))
        content = orjson.dumps(_many(change, old_bounds, new_bounds))
        if old_bounds is None and new_bounds is None:
            after = State(True, None, None, None)  # nobody knows where
        return Told(change, before, after, content, b"")
    before = after = ABSENT
    if change.operation is not Operation.INSERT:
        before = _state(change.old, old_bounds, rows)
    if change.operation is not Operation.DELETE:
        after = _state(change.new, new_bounds, rows)
    gone = orjson.dumps(_identity(collection, request, change.key, old_bounds))
    content = after.text or orjson.dumps(_identity(collection, request, change.key, new_bounds))
    return Told(change, before, after, content, gone)


def _is_whole(collection: Collection) -> bool:
    """Whether the log tells everything of a row: not of a column that was added after the table was published."""
    publication = collection.publication
    return publication is not None and {column.name for column in collection.columns} <= set(publication.columns)


def _bounds(collection: Collection, box: Bounds | None) -> Bounds | None:
    """A box of the log in degrees; None where it is that of another geometry of the table."""
    publication = collection.publication
    if box is None or publication is None or publication.geometry != collection.geometry.name:
        return None
    return bounds_in_degrees(collection.geometry.srid, box)


def _state(logged: str | None, bounds: Bounds | None, rows: Iterator[Row | None]) -> State:
    """One that is not known is taken for selected: better to be told of what was never seen than not to be told."""
    row = next(rows) if logged is not None else None
    if row is None:
        return State(True, None, None, bounds)
    if not isinstance(row[2], BaseGeometry):
        return State(row[0], row[1], None, bounds, nowhere=row[2] is None)
    west, south, east, north = map(float, row[2].bounds)
    return State(row[0], row[1], row[2], (west, south, east, north))


def _identity(collection: Collection, request: ItemsRequest, key: str | None, bounds: Bounds | None) -> dict[str, object]:
    """What is told of a feature that is gone, or that was too large for the log."""
    columns = collection.key_columns
    kind = columns[0].type_name if len(columns) == 1 else ""
    whole = key is not None and kind in _WHOLE_NUMBERS and not (request.bigint_as_text and kind == "int8")
    return {"id": int(key) if whole and key is not None else key, "bbox": bounds}


def _many(change: Change, old: Bounds | None, new: Bounds | None) -> dict[str, object]:
    """What is told of a statement that is logged as one."""
    known = [each for each in (old, new) if each is not None]
    bounds = None
    if known:
        bounds = (*(min(each[i] for each in known) for i in (0, 1)), *(max(each[i] for each in known) for i in (2, 3)))
    return {"operation": change.operation.word, "rows": change.rows or None, "bbox": bounds}


@dataclass(frozen=True, slots=True)
class Telling:
    """A change as those who share a request are told of it; each event is written once.

    Attributes:
        event_id: of all its events.
        written: the events by their names.
    """

    told: Told
    event_id: str
    written: dict[str, bytes] = field(default_factory=dict)

    def event(self, box: Bbox | None) -> bytes | None:
        """The event for a subscriber; None when it is none of its business."""
        told = self.told.event(box)
        if told is None:
            return None
        name, content = told
        event = self.written.get(name)
        if event is None:
            event = self.written[name] = encode_event(self.event_id, name, content)
        return event


async def judge_batch(
    database: Database, collection: Collection, request: ItemsRequest, batch: Batch, epoch: str, *, shapes: bool
) -> list[Telling]:
    """What is told of a batch. Raises: RequestError.

    Args:
        epoch: of the log.
        shapes: whether somebody has a box.
    """
    changes = [each for each in batch.changes if each.operation not in (Operation.PUBLISH, Operation.UNPUBLISH)]
    judged = await judge(database, collection, request, changes, shapes=shapes)
    return [Telling(told, encode_event_id(epoch, batch.position(told.change))) for told in judged]
