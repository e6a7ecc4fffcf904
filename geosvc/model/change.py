"""A change of a published table, as its triggers logged it."""

import re
from dataclasses import dataclass
from enum import StrEnum

from geosvc.model.bounds import Bounds

_NUMBER = r"([-+0-9.eE]+|[-+]?Infinity|NaN)"
_BOX = re.compile(rf"\({_NUMBER},{_NUMBER}\),\({_NUMBER},{_NUMBER}\)")


class ChangeOperation(StrEnum):
    """What was done, by the letter of the log."""

    INSERT = "i"
    UPDATE = "u"
    DELETE = "d"
    TRUNCATE = "t"
    UNKNOWN = "?"
    """To a table that was altered after it was published."""
    PUBLISH = "+"
    UNPUBLISH = "-"

    @property
    def name_in_events(self) -> str:
        """As it is told to subscribers."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Change:
    """One feature changed, or many by one statement.

    Attributes:
        seq: the order within a transaction, and of the changes of one feature.
        place: that of the transaction among those of a read: the highest seq in it.
        key: the id of the feature.
        rows: how many features the statement changed, where it is logged as one; None: this is one feature.
        old_box, new_box: where they were and are, storage CRS.
        old, new: the row before and after as JSON; None where there is none or it was too large to log.
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
    """(xmin, ymin, xmax, ymax) of PostgreSQL's `box`, which begins with its upper corner."""
    match = _BOX.fullmatch(text) if text is not None else None
    if match is None:
        return None
    xmax, ymax, xmin, ymin = map(float, match.groups())
    return xmin, ymin, xmax, ymax
