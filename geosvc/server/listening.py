"""Listening sockets: binds them, accepts connections from them, and closes them without losing a
client that has connected.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context

from geosvc.errors import StartError

BACKLOG = 1024
ACCEPTED_AT_ONCE = 16
RETRY_SECONDS = 1.0
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def bind(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    """Binds a socket to each address of the host, on the same port.

    Args:
        port: 0 for any free port.
        shared: whether other sockets of this user may have the port too (SO_REUSEPORT).
    Raises: StartError when another program listens there.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(found):
            bound = socket.socket(family, kind, protocol)
            sockets.append(bound)
            _set_options(bound, shared=shared)
            bound.bind((address[0], port, *address[2:]))
            port = bound.getsockname()[1]  # the other addresses get the same one
    except OSError as error:
        for each in sockets:
            each.close()
        raise StartError(f"cannot listen on {host}:{port}: {_reason(error)}") from None
    return sockets


def _set_options(unbound: socket.socket, *, shared: bool) -> None:
    # a port can be bound although connections of an earlier service are still in TIME_WAIT
    unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if unbound.family == socket.AF_INET6:
        unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        reason += "; GEOSVC_REUSE_PORT lets one instance take over from another"
    return reason


def reserve(host: str, port: int, *, reused: bool) -> list[socket.socket]:
    """Binds sockets that reserve a port for the workers, which share it.

    Args:
        reused: whether another service may listen on the port already.
    Raises: StartError when another service listens there although it may not.
    """
    if not reused:
        # this fails where another service listens, even one that shares its port
        for unshared in bind(host, port, shared=False):
            unshared.close()
    return bind(host, port, shared=True)


def url_of(bound: socket.socket) -> str:
    """The URL at which a socket listens."""
    host, port = bound.getsockname()[:2]
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{port}"


class Listener:
    """The listening sockets of a protocol. It accepts connections and can pause.

    A server of asyncio cannot pause: when it is closed, it forgets connections that it has accepted
    and not yet served, and their clients wait forever. So connections are accepted here.

    Args:
        room: returns how many more connections there may be.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        factory: Callable[[], asyncio.BaseProtocol],
        room: Callable[[], float],
    ) -> None:
        self._sockets = sockets
        self._factory = factory
        self._room = room
        self._beginning: set[asyncio.Task[None]] = set()
        self.paused = True
        self.url = url_of(sockets[0])

    def accept(self) -> None:
        """Begins to accept connections.

        Raises: StartError when another service has begun to listen there.
        """
        try:
            for each in self._sockets:
                each.setblocking(False)
                each.listen(BACKLOG)
        except OSError as error:
            raise StartError(f"cannot listen on {self.url}: {_reason(error)}") from None
        self.resume()

    def pause(self) -> None:
        """Stops accepting connections; new clients wait in the queues of the sockets."""
        self.paused = True
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.remove_reader(each)

    def resume(self) -> None:
        """Accepts again after a pause."""
        self.paused = False
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            # in an empty context: the request that has made room is not that of new connections
            Context().run(loop.add_reader, each, self._accept_some, each)

    def _accept_some(self, listening: socket.socket) -> None:
        """Accepts waiting clients: a few at a time, and no more than there is room for."""
        if self._room() <= 0:
            self.pause()
            return
        room = self._room() - len(self._beginning)
        try:
            for _ in range(int(min(room, ACCEPTED_AT_ONCE))):
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
        """Closes the sockets. Clients that have connected by now are still served."""
        self.pause()
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):  # BlockingIOError when no client waits
                while True:
                    self._begin(each.accept()[0])
            each.close()
        if self._beginning:
            await asyncio.wait(self._beginning)
