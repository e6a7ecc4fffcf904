"""A change of a published table, as its triggers logged it."""

import re
from dataclasses import dataclass
from enum import StrEnum

from geosvc.model.bounds import Bounds

_NUMBER = r"([-+0-9.eE]+|[-+]?Infinity|NaN)"
_BOX = re.compile(rf"\({_NUMBER},{_NUMBER}\),\({_NUMBER},{_NUMBER}\)")


class ChangeOperation(StrEnum):
    """The kind of a change, by its letter in the change log."""

    INSERT = "i"
    UPDATE = "u"
    DELETE = "d"
    TRUNCATE = "t"
    UNKNOWN = "?"
    """It is unknown which rows changed: a trigger could not tell, or partitions were truncated."""
    PUBLISH = "+"
    UNPUBLISH = "-"

    @property
    def name_in_events(self) -> str:
        """The member `operation` of an event, such as `insert`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one feature, or of many features by one statement.

    A read of the change log orders changes by `place` and then by `seq`.

    Attributes:
        seq: the number of the change in the log. It orders the changes of a transaction, and the
            changes of a feature.
        xid: the transaction.
        place: the highest seq of the transaction among the changes that were read.
        key: the feature id; None for a change of many features.
        rows: the number of features that the statement changed; None for a change of one feature.
        old_box, new_box: the bounds before and after the change, storage CRS.
        old, new: the row before and after as JSON; None if there is none or it was too large to
            log.
    """

    seq: int
    xid: int
    place: int
    operation: ChangeOperation
    key: str | None
    rows: int | None
    old_box: Bounds | None = None
    new_box: Bounds | None = None
    old: str | None = None
    new: str | None = None


def parse_box(text: str | None) -> Bounds | None:
    """The bounds in the text of a PostgreSQL `box`, which begins with its upper right corner."""
    if text is None:
        return None
    match = _BOX.fullmatch(text)
    if match is None:
        return None
    xmax, ymax, xmin, ymin = map(float, match.groups())
    return xmin, ymin, xmax, ymax
