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
ACCEPTED_AT_ONCE = 16
RETRY_SECONDS = 1.0
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


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
    """The sockets that a protocol is served on.

    A server of the loop's own cannot pause: asyncio's forgets connections that it had accepted
    when it is closed, and its clients wait for ever. So connections are accepted here.
    """

    def __init__(
        self, sockets: list[socket.socket], factory: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._sockets = sockets
        self._factory = factory
        self._beginning: set[asyncio.Task[None]] = set()
        self.paused = True
        self.url = url_of(sockets[0])

    def accept(self) -> None:
        """Accepts connections from now on.

        Raises: StartError when another service listens there that came first.
        """
        try:
            for each in self._sockets:
                each.setblocking(False)
                each.listen(BACKLOG)
        except OSError as error:
            raise StartError(f"cannot listen on {self.url}: {_reason(error)}") from None
        self.resume()

    def pause(self) -> None:
        """Accepts no more; who connects waits."""
        self.paused = True
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.remove_reader(each)

    def resume(self) -> None:
        """Accepts again after a pause."""
        self.paused = False
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.add_reader(each, self._accept_some, each)

    def _accept_some(self, listening: socket.socket) -> None:
        """Accepts those who wait; a few at once, since a connection counts when it has begun."""
        try:
            for _ in range(ACCEPTED_AT_ONCE):
                self._begin(listening.accept()[0])
        except OSError as error:
            if error.errno in _OUT_OF_RESOURCES:
                self.pause()
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self.resume)

    def _begin(self, connection: socket.socket) -> None:
        """Serves a connection."""
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _serve(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(self._factory, connection)
        except OSError:  # the client is gone already
            connection.close()

    async def close(self) -> None:
        """Listens no more. Who has connected by now is still served."""
        self.pause()
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):  # BlockingIOError when nobody is left
                while True:
                    self._begin(each.accept()[0])
            each.close()
        if self._beginning:
            await asyncio.wait(self._beginning)
