"""What reads of the change log return: the versions of the published tables, and their changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geosvc.model.bounds import Bounds
from geosvc.model.snapshot import Snapshot


class NoChangeLog(Exception):
    """The database has no change log."""


@dataclass(frozen=True, slots=True)
class LogVersions:
    """The versions of all publications, as of a snapshot.

    Attributes:
        version_increments: by publication, the sum of the hashes of all of its changes.
    """

    snapshot: Snapshot
    version_increments: dict[int, int]


@dataclass(frozen=True, slots=True)
class LogDelta:
    """What has changed since the read before.

    Attributes:
        snapshot: the end of this read.
        version_increments: by publication that has changed, the sum of the hashes of its changes.
        changes: how many changes there are in all.
        needs_reload: whether all versions must be read again: something was published or
            unpublished, or changes were pruned before they were read.
        boxes: by publication that has changed, the boxes of the features before and after, in the
            storage CRS; None where the log does not tell them.
    """

    snapshot: Snapshot
    version_increments: dict[int, int]
    changes: int
    needs_reload: bool
    boxes: dict[int, Sequence[Bounds] | None]


def delta_of_rows(snapshot: Snapshot, rows: Sequence[Any]) -> LogDelta:
    """Return the delta of the rows of `feed_moved` or `feed_standby_moved`."""
    increments: dict[int, int] = {}
    boxes: dict[int, Sequence[Bounds] | None] = {}
    changes = 0
    needs_reload = bool(rows[0]["pruned"])
    for row in rows:
        publication = row["publication"]
        if publication is None:
            continue
        increments[publication] = int(row["version_increment"])
        boxes[publication] = _boxes_of(row)
        changes += row["changes"]
        if row["needs_reload"]:
            needs_reload = True
    return LogDelta(snapshot, increments, changes, needs_reload, boxes)


def _boxes_of(row: Any) -> Sequence[Bounds] | None:
    if row["everywhere"]:
        return None
    return [tuple(box) for name in ("old_boxes", "new_boxes") for box in row[name] or ()]
