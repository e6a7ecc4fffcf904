"""What the kernel knows about a connection, and how to end one at once."""

import asyncio
import socket
import struct
from contextlib import suppress

_TCP_INFO = getattr(socket, "TCP_INFO", None)
_NO_LINGER = struct.pack("ii", 1, 0)
_BYTES_ACKED = struct.Struct("=120xQ")  # tcpi_bytes_acked of struct tcp_info, Linux 4.1


def bytes_acknowledged(transport: asyncio.Transport) -> int:
    """Bytes that the client's TCP has acknowledged; 0 where the platform cannot say."""
    connection = transport.get_extra_info("socket")
    if _TCP_INFO is None or connection is None:
        return 0
    with suppress(OSError, ValueError, struct.error):  # a closed socket, an old kernel
        info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _BYTES_ACKED.size)
        (acknowledged,) = _BYTES_ACKED.unpack_from(info)
        return int(acknowledged)
    return 0


def reset(transport: asyncio.Transport) -> None:
    """Ends a connection at once, and discards what the kernel still holds for the client.

    After a close, the kernel would go on sending it: up to megabytes.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError, ValueError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
