"""Find connections that are dead although nobody has closed them.

A firewall may have forgotten a connection, or a proxy may have lost its other half. The operating
system finds connections on which data is not acknowledged, and idle ones that do not answer. Behind
a proxy that acknowledges everything, only a statement finds out (docs/decisions/0040).
"""

import socket
from contextlib import suppress
from time import monotonic
from typing import Any

from geosvc.database.sqlstate import DATABASE_ERRORS

KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # seconds, seconds, probes
# the shortest statement that is answered; a pooler does not answer an empty one
_PROBE = "SELECT"


def watch_socket(found: Any, silence_seconds: float) -> None:
    """Lets the operating system close a TCP connection that is dead.

    Args:
        found: the socket of a transport; None if it has none.
        silence_seconds: how long sent data may stay without an acknowledgement.
    """
    if found is None or found.family not in (socket.AF_INET, socket.AF_INET6):
        return
    options = {**KEEP_ALIVE, "TCP_USER_TIMEOUT": round(silence_seconds * 1000)}
    with suppress(OSError):  # an option that the system does not accept is left out
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            if hasattr(socket, name):
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Liveness:
    """Probes connections before they are used: those that were idle for long.

    After a connection was found dead, every other one is probed once.

    Args:
        seconds: how long a connection may be idle without a probe, and how long the answer to a
            probe may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._suspected_at = 0.0

    def suspect(self) -> None:
        """Marks all connections as suspect, since one was found dead."""
        self._suspected_at = monotonic()

    def needs_probe(self, connection: Any) -> bool:
        """Whether a connection was idle for long, or is suspect."""
        used_at: float = connection.used_at
        is_suspect = used_at <= self._suspected_at
        return is_suspect or monotonic() - used_at >= self._seconds

    async def probe(self, connection: Any) -> bool:
        """Whether a connection is alive: whether it answers a statement in time."""
        try:
            await connection.execute(_PROBE, timeout=self._seconds)
        except DATABASE_ERRORS:
            self.suspect()
            return False
        return True  # `used_at` is set when the connection is released
