"""A client that costs next to nothing: it reads bodies of any size and keeps none."""

import socket
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

from geosvc.errors import StartError

_BUFFER_BYTES = 1 << 20
_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Download:
    """What came.

    Attributes:
        size_bytes: of the whole response, its head included.
        end: its last bytes.
    """

    size_bytes: int
    seconds: float
    end: bytes

    @property
    def megabytes_per_second(self) -> float:
        """In 10^6 bytes."""
        return self.size_bytes / self.seconds / 1e6


def download(url: str) -> Download:
    """Reads a response to its end.

    Raises: StartError when it is no 200, or broken off; OSError when nobody listens.
    """
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    total = 0
    end = b""
    started = perf_counter()
    with socket.create_connection(
        (parts.hostname or "", parts.port or 80), timeout=_TIMEOUT_SECONDS
    ) as client:
        client.sendall(
            f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
        )
        while received := client.recv_into(buffer):
            if not total:
                head = bytes(buffer[:received]).partition(b"\r\n\r\n")[0].lower()
                if not head.startswith(b"http/1.1 200"):
                    raise StartError(f"{url}: {head[:100]!r}")
            total += received
            end = (end + bytes(buffer[max(received - 2048, 0) : received]))[-2048:]
    seconds = perf_counter() - started
    if b"transfer-encoding: chunked" in head and not end.endswith(b"\r\n0\r\n\r\n"):
        raise StartError(f"{url}: broken off after {total} bytes")
    return Download(total, seconds, end)
