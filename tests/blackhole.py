"""A TCP proxy before PostgreSQL that can forget its connections as a firewall does: nothing passes,
and nobody is told.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, urlsplit


class Flow:
    """One connection through the proxy."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.passes = True
        self._ends = (near, far)
        self.threads = [
            threading.Thread(target=self._pass_on, args=ends, daemon=True)
            for ends in ((near, far), (far, near))
        ]
        for thread in self.threads:
            thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        """Passes on what comes.

        What is swallowed is acknowledged, so that the system notices nothing.
        """
        with suppress(OSError):
            while data := source.recv(65536):
                if self.passes:
                    sink.sendall(data)
        if self.passes:
            self.close()

    def close(self) -> None:
        """Ends it on both sides."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Gives the sockets back."""
        for end in self._ends:
            end.close()


class Blackhole:
    """The proxy.

    Attributes:
        flows: the connections that it has taken.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self._host = query.get("host", [parts.hostname or "localhost"])[0]
        self._port = int(query.get("port", [str(parts.port or 5432)])[0])
        self.flows: list[Flow] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        user = f"{parts.username}:{parts.password}" if parts.password else f"{parts.username}"
        self.url = f"postgresql://{user}@127.0.0.1:{self._listening.getsockname()[1]}{parts.path}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def forget(self) -> None:
        """From now on nothing passes through the connections that there are; new ones work."""
        for flow in self.flows:
            flow.passes = False

    def _accept(self) -> None:
        with suppress(OSError):  # that it is closed
            while True:
                near, _ = self._listening.accept()
                self.flows.append(Flow(near, self._connect()))

    def _connect(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._port))
        far = socket.socket(socket.AF_UNIX)
        far.connect(f"{self._host}/.s.PGSQL.{self._port}")
        return far

    def close(self) -> None:
        """Ends it and all connections."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for flow in self.flows:
            flow.close()
        for thread in (self._thread, *(thread for flow in self.flows for thread in flow.threads)):
            thread.join(10)
        for flow in self.flows:
            flow.release()


@contextmanager
def blackhole(url: str) -> Iterator[Blackhole]:
    """The proxy, until the block ends."""
    proxy = Blackhole(url)
    try:
        yield proxy
    finally:
        proxy.close()
