"""The snapshots of statements on a standby.

A standby does not report what a statement sees: its pg_current_snapshot() lists no transaction
that is in progress. So the snapshot is derived from what the change log shows to the statement. A
transaction that was in progress before the statement, or had not begun, and of which the statement
shows nothing, either had not ended for the statement or has nothing in the log.

A question after the statement would be wrong: one transaction could then be visible, and another
one that it had waited for not.
"""

from collections.abc import Sequence
from typing import Any

from geosvc.model.snapshot import Snapshot


def snapshot_before(xmax: int, in_progress: Sequence[int]) -> Snapshot:
    """Return the snapshot of what had ended before a statement began."""
    xmin = min([xmax, *in_progress])
    return Snapshot(xmin, xmax, tuple(in_progress))


def snapshot_of_rows(before: Snapshot, rows: Sequence[Any]) -> Snapshot:
    """Return the snapshot of a statement on a standby.

    Args:
        before: taken before the statement began.
        rows: of the statement; the column `xids` has the transactions that each row shows.
    """
    visible: set[int] = set()
    for row in rows:
        visible.update(row["xids"])
    xmax = before.xmax
    if visible:
        xmax = max(xmax, max(visible) + 1)
    hidden = []
    for xid in (*before.in_progress, *range(before.xmax, xmax)):
        if xid not in visible:
            hidden.append(xid)
    return snapshot_before(xmax, hidden)
