"""Listening sockets: bound, accepted from, and closed so that nobody who has connected is
forgotten.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress

from geosvc.errors import StartError

BACKLOG = 1024
ACCEPTED_AT_ONCE = 16  # by asyncio's own loop; uvloop accepts one by one


def bind(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    """Sockets for all addresses of the host, on the same port.

    Args:
        port: 0 takes a free one.
        shared: whether other sockets of this user may have the port too (SO_REUSEPORT).
    Raises: StartError when somebody else listens there.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(found):
            each = socket.socket(family, kind, protocol)
            sockets.append(each)
            # a port is free although connections of a service that has ended are still in TIME_WAIT
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            port = port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)
            each.bind((address[0], port, *address[2:]))
    except OSError as error:
        for each in sockets:
            each.close()
        raise StartError(f"cannot listen on {host}:{port}: {_reason(error)}") from None
    return sockets


def _reason(error: OSError) -> str:
    taken = error.errno == errno.EADDRINUSE
    reason = error.strerror or str(error)
    if taken:
        reason += "; GEOSVC_REUSE_PORT lets one instance take over from another"
    return reason


def reserve(host: str, port: int, *, reused: bool) -> list[socket.socket]:
    """Bound sockets that keep a port for the workers, which share it.

    Args:
        reused: whether another service may have it already.
    Raises: StartError when another does that may not.
    """
    if not reused:
        for each in bind(
            host, port, shared=False
        ):  # fails where another listens, whether or not it shares its port
            each.close()
    return bind(host, port, shared=True)


def url_of(bound: socket.socket) -> str:
    """Where a socket listens."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Listener:
    """The sockets that a protocol is served on."""

    def __init__(
        self, sockets: list[socket.socket], factory: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._sockets = sockets
        self._factory = factory
        self._servers: list[asyncio.AbstractServer] = []
        self._resuming: asyncio.Task[None] | None = None
        self.paused = self._again = False
        self.url = url_of(sockets[0])

    async def accept(self) -> None:
        """Accepts connections from now on.

        Raises: StartError when another service listens there that came first.
        """
        loop = asyncio.get_running_loop()
        try:
            for each in self._sockets:
                # the loop closes the copy, and whoever waits in the queue of the socket stays there
                self._servers.append(
                    await loop.create_server(
                        self._factory, sock=each.dup(), backlog=ACCEPTED_AT_ONCE
                    )
                )
                each.listen(BACKLOG)
        except OSError as error:
            raise StartError(f"cannot listen on {self.url}: {_reason(error)}") from None

    def pause(self) -> None:
        """Accepts no more; who connects waits."""
        self.paused, self._again = True, False
        self._close_copies()

    def _close_copies(self) -> None:
        for each in self._servers:
            each.close()
        self._servers.clear()

    def resume(self) -> None:
        """Accepts again after a pause."""
        self._again = True
        if self.paused and self._sockets and self._resuming is None:
            self._resuming = asyncio.ensure_future(self._resume())

    async def _resume(self) -> None:
        try:
            while self.paused and self._again:  # it may be paused and resumed meanwhile
                self.paused = False
                await self.accept()
                if self.paused:
                    self._close_copies()
        finally:
            self._resuming = None

    async def close(self) -> None:
        """Listens no more. Who has connected by now is still served."""
        if self._resuming is not None:
            await self._resuming
        self.pause()
        waiting = []
        for each in self._sockets:
            each.setblocking(False)
            with suppress(OSError):  # BlockingIOError when nobody is left
                while True:
                    waiting.append(each.accept()[0])
            each.close()
        self._sockets = []
        for connection in waiting:
            connection.setblocking(False)
            with suppress(OSError):
                await asyncio.get_running_loop().connect_accepted_socket(self._factory, connection)
