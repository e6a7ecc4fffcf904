"""Connections that died without a word, as when a firewall has forgotten them, or a proxy between has lost its other half.

The system finds out what it can: data that nobody acknowledges, and connections that lie idle. What stands behind a proxy
that acknowledges everything only a question finds out (docs/decisions/0040).
"""

import socket
from contextlib import suppress
from time import monotonic
from typing import Any

from geosvc.database.sqlstate import DATABASE_ERRORS

KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # seconds, seconds, probes
_QUESTION = (
    "SELECT"  # the shortest statement that has an answer; an empty one has none behind a pooler
)


def watch_socket(found: Any, silence_seconds: float) -> None:
    """Lets the system end a TCP connection of which nothing was acknowledged for so long, and look after it while it is idle.

    Args:
        found: the socket of a transport, if there is one.
    """
    if found is None or found.family not in (socket.AF_INET, socket.AF_INET6):
        return
    options = {**KEEP_ALIVE, "TCP_USER_TIMEOUT": round(silence_seconds * 1000)}
    with suppress(OSError):  # what the system does not take, it does without
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            if hasattr(socket, name):
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Liveness:
    """Which connections are asked whether they live before they are given to anybody: those that were idle for long, and all
    of them once after one was found dead.

    Args:
        seconds: how long is long, and how long an answer may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._suspected_at = 0.0

    def suspect(self) -> None:
        """One was found dead, so that others may be."""
        self._suspected_at = monotonic()

    async def holds(self, connection: Any) -> bool:
        """Whether a connection is not dead."""
        used_at: float = connection.used_at
        if used_at > self._suspected_at and monotonic() - used_at < self._seconds:
            return True
        try:
            await connection.execute(_QUESTION, timeout=self._seconds)
        except DATABASE_ERRORS:
            self.suspect()
            return False
        return True  # its release notes that it lives
