"""A client that costs next to nothing: it sends a body of any size, and waits for the answer."""

import socket
from collections.abc import Iterable, Mapping
from time import perf_counter
from urllib.parse import urlsplit

import orjson

from geosvc.errors import StartError

_TIMEOUT_SECONDS = 600.0


def upload(
    url: str, pieces: Iterable[bytes], headers: Mapping[str, str]
) -> tuple[float, dict[str, int]]:
    """Posts a body in chunks.

    Returns: seconds until the answer, and the answer.
    Raises: StartError when it is no success; OSError when nobody listens.
    """
    parts = urlsplit(url)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    started = perf_counter()
    with socket.create_connection(
        (parts.hostname or "", parts.port or 80), timeout=_TIMEOUT_SECONDS
    ) as client:
        client.sendall(
            f"POST {parts.path}?{parts.query} HTTP/1.1\r\n"
            f"Host: {parts.netloc}\r\nConnection: close\r\n"
            f"Transfer-Encoding: chunked\r\n{lines}\r\n".encode()
        )
        for piece in pieces:
            client.sendall(b"%x\r\n" % len(piece))
            client.sendall(piece)
            client.sendall(b"\r\n")
        client.sendall(b"0\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 201"):
        raise StartError(f"{url}: {answer[:500]!r}")
    return perf_counter() - started, orjson.loads(body)
