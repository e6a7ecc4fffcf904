"""A protocol that answers whatever comes with the same bytes: nothing but the loop is measured.

`python -m benchmarks.claims.fixed_answer LOOP`, where LOOP is uvloop or asyncio.
"""

import asyncio
import sys

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b" " * 1024


class FixedAnswer(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = transport  # type: ignore[assignment]  # of a stream, here

    def data_received(self, data: bytes) -> None:
        """Answers; wrk sends a request at a time, in one piece."""
        self.transport.write(_ANSWER)


async def serve() -> None:
    """Serves until it is killed."""
    server = await asyncio.get_running_loop().create_server(FixedAnswer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    factories = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    with asyncio.Runner(loop_factory=factories[sys.argv[1]]) as loop_runner:
        loop_runner.run(serve())
