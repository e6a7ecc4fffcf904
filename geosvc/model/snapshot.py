"""Which transactions are visible: PostgreSQL's snapshots as cursors of the change log (docs/decisions/0022).

A number that grows would lose the change that commits late. A snapshot tells exactly what was visible in a read, so that the
next one returns what has become visible since.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

_TEXT = re.compile(r"(\d{1,19}):(\d{1,19}):((?:\d{1,19}(?:,\d{1,19})*)?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A pg_snapshot: transactions below xmin have ended, those from xmax on had not begun.

    Attributes:
        in_progress: those between, in order, that had not ended.
    """

    xmin: int
    xmax: int
    in_progress: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """From PostgreSQL's text. Raises: ValueError."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError("no snapshot")
        return cls(int(match[1]), int(match[2]), tuple(map(int, filter(None, match[3].split(",")))))

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.in_progress))}"

    @property
    def is_sound(self) -> bool:
        """Whether PostgreSQL would take it."""
        inner = (self.xmin - 1, *self.in_progress, self.xmax)
        return 0 < self.xmin <= self.xmax < 1 << 63 and all(a < b for a, b in pairwise(inner))

    def sees(self, xid: int) -> bool:
        """Whether what the transaction did is visible, if it was committed."""
        if not self.xmin <= xid < self.xmax:
            return xid < self.xmin
        place = bisect_left(self.in_progress, xid)
        return place == len(self.in_progress) or self.in_progress[place] != xid

    def is_ahead_of(self, other: "Snapshot") -> bool:
        """Whether it may see what the other does not: it is the later one, or of a server that knew more."""
        return self.xmax > other.xmax or any(self.sees(xid) for xid in other.in_progress)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a subscriber has read.

    Attributes:
        seen: what is visible in it was read.
        upto, place, seq: of what `upto` sees besides, in the order of (place, seq), everything as far as this; None and 0
            where nothing of it was.
    """

    seen: Snapshot
    partly_seen: Snapshot | None = None
    place: int = 0
    seq: int = 0
