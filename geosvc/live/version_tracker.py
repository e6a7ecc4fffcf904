"""The versions of published tables, as the change log gives them. Pure: it reads nothing itself."""

from collections.abc import Collection

from geosvc.database.changefeed.log_state import LogDelta, LogVersions
from geosvc.model.snapshot import Snapshot

_MASK = (1 << 64) - 1


class VersionTracker:
    """Knows the version of each published table at one snapshot of the log.

    Attributes:
        epoch: names the log, as hexadecimal digits; "" before the first load.
        snapshot: up to which transactions the versions count.
        changes: that all reads have found, for the metrics.
    """

    def __init__(self) -> None:
        self.epoch = ""
        self.snapshot = Snapshot(1, 1)
        self.changes = 0
        self._versions: dict[int, int] = {}

    @property
    def publications(self) -> Collection[int]:
        """The ids of the published tables."""
        return self._versions.keys()

    def version_of(self, publication: int) -> int | None:
        """Returns the version of a published table; None when the log does not know the table."""
        return self._versions.get(publication)

    def load(self, versions: LogVersions, epoch: str) -> None:
        """Replaces everything that was known."""
        self.epoch = epoch
        self.snapshot = versions.snapshot
        # two logs may give the same numbers to different changes: after a failover, or as copies
        offset = int(epoch, 16)
        self._versions = {}
        for publication, increments in versions.version_increments.items():
            self._versions[publication] = (increments + offset) & _MASK

    def can_apply(self, delta: LogDelta) -> bool:
        """Whether the delta is about known tables only; otherwise the versions are to be loaded."""
        known = delta.version_increments.keys() <= self._versions.keys()
        return known and not delta.needs_reload

    def apply(self, delta: LogDelta) -> None:
        """Moves the versions to the snapshot of the delta."""
        self.snapshot = delta.snapshot
        for publication, increments in delta.version_increments.items():
            self._versions[publication] = (self._versions[publication] + increments) & _MASK
