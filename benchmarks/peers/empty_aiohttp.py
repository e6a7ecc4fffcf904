"""The limit of aiohttp itself, the same bytes for every path.

`python -m benchmarks.peers.empty_aiohttp BYTES`.
"""

import asyncio
import sys

import msgspec
import uvloop
from aiohttp import web


async def serve(body_bytes: int) -> None:
    """Serves until it is killed."""
    body = b" " * body_bytes

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    sys.stderr.write(
        msgspec.json.encode({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}).decode() + "\n"
    )
    sys.stderr.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop_runner:
        loop_runner.run(serve(int(sys.argv[1])))
