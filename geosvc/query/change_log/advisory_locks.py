"""The advisory locks of the change log. PostgreSQL names such a lock by two numbers of 32 bits.

The numbers stand in the triggers of every published table, so they can never change.
"""

_CHANGE_LOG = 1_734_701_942  # "gesv" in ASCII: the first number of all these locks

READER_IDLE_LOCK = (_CHANGE_LOG, 0)
"""A reader of the log holds this lock shared while it waits for a notification."""

PUBLISH_LOCK = (_CHANGE_LOG, 1)
"""Held by the transaction that publishes a table, or ends a publication."""

PRUNE_LOCK = (_CHANGE_LOG, 2)
"""Held by the transaction that deletes old changes."""
