"""PostgreSQL's snapshots as positions in the change log (docs/decisions/0022).

A number that grows with each change would lose the changes of a transaction that commits late. A
snapshot says which transactions a read could see. The next read returns the changes of those
transactions that have become visible since.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Self

_TEXT = re.compile(r"(\d{1,19}):(\d{1,19}):((?:\d{1,19}(?:,\d{1,19})*)?)", re.ASCII)
_MAX_XID = 1 << 63


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A `pg_snapshot`: which transactions had ended when it was taken.

    Attributes:
        xmin: all transactions below it had ended.
        xmax: neither it nor any transaction above it had ended.
        in_progress: the transactions from xmin to xmax that had not ended, in ascending order.
    """

    xmin: int
    xmax: int
    in_progress: tuple[int, ...] = ()

    @classmethod
    @lru_cache(maxsize=16)  # most reads of a log that nobody writes to find the same snapshot
    def parse(cls, text: str) -> Self:
        """Parses the text that PostgreSQL writes: `xmin:xmax:xid,xid`. Raises: ValueError."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError("no snapshot")
        in_progress: tuple[int, ...] = ()
        if match[3]:
            in_progress = tuple(map(int, match[3].split(",")))
        return cls(int(match[1]), int(match[2]), in_progress)

    def __str__(self) -> str:
        in_progress = ",".join(map(str, self.in_progress))
        return f"{self.xmin}:{self.xmax}:{in_progress}"

    @property
    def is_sound(self) -> bool:
        """Whether PostgreSQL accepts it: its numbers ascend and are in range."""
        if not 0 < self.xmin <= self.xmax < _MAX_XID:
            return False
        numbers = (self.xmin - 1, *self.in_progress, self.xmax)
        return all(before < after for before, after in pairwise(numbers))

    def sees(self, xid: int) -> bool:
        """Whether the changes of a transaction are visible, if it was committed."""
        if xid < self.xmin:
            return True
        if xid >= self.xmax:
            return False
        index = bisect_left(self.in_progress, xid)
        return index == len(self.in_progress) or self.in_progress[index] != xid

    def is_ahead_of(self, other: "Snapshot") -> bool:
        """Whether it may see a transaction that the other one does not see.

        It was taken later, or on a server that had received more transactions.
        """
        return self.xmax > other.xmax or any(self.sees(xid) for xid in other.in_progress)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a subscriber has read the change log.

    A read goes from one snapshot to the next: it returns the changes that the next one sees and the
    first one does not. Between two reads a position is the snapshot that was reached. Within a read
    it is both snapshots, and the last change that the subscriber has got.

    Attributes:
        seen: the snapshot where the read began; all that it sees has been read.
        partly_seen: the snapshot where the read will end; None between two reads.
        place, seq: of the last change of the read that the subscriber has got, as in Change;
            0 between two reads.
    """

    seen: Snapshot
    partly_seen: Snapshot | None = None
    place: int = 0
    seq: int = 0

    @property
    def latest(self) -> Snapshot:
        """The latest snapshot of which anything has been read."""
        return self.partly_seen or self.seen
