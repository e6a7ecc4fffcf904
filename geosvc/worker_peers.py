"""The other workers of the service.

Each keeps its own numbers; who is asked for them asks the others over Unix sockets in a folder that
only this user can enter, so that any worker answers for all.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web

ASK_SECONDS = 2.0
STOP_SECONDS = 0.2  # an answer takes a millisecond
PARTS = ("metrics", "slow", "pool", "live")


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """A worker's place among its siblings.

    Attributes:
        number: from 0; a worker that is started in place of a dead one has its number.
        folder: of the sockets.
    """

    number: int
    workers: int
    folder: Path

    def socket(self, number: int) -> str:
        """Where a worker listens."""
        return str(self.folder / f"{number}.sock")


class WorkerPeers:
    """What this worker and the others know.

    Args:
        place: None for a process that is alone.
        tell: this worker's answer for each of PARTS, as JSON can carry it.
    """

    def __init__(self, slot: WorkerSlot | None, tell: Callable[[str], Any]) -> None:
        self._place = slot
        self._tell = tell

    @property
    def number(self) -> int:
        """The worker's own number."""
        return self._place.number if self._place is not None else 0

    async def collect(self, part: str) -> dict[int, Any]:
        """What each worker tells, by its number; None for one that does not answer in time."""
        if self._place is None:
            return {0: self._tell(part)}
        numbers = range(self._place.workers)
        answers = await asyncio.gather(
            *(self._ask(self._place, number, part) for number in numbers)
        )
        return dict(zip(numbers, answers, strict=True))

    async def _ask(self, slot: WorkerSlot, number: int, part: str) -> Any:
        if number == slot.number:
            return self._tell(part)
        try:
            connector, timeout = UnixConnector(slot.socket(number)), ClientTimeout(ASK_SECONDS)
            async with (
                ClientSession(connector=connector, timeout=timeout) as session,
                session.get(f"http://worker/{part}") as response,
            ):
                return orjson.loads(await response.read())
        except (ClientError, OSError, TimeoutError, orjson.JSONDecodeError):
            return None

    def application(self) -> web.Application:
        """What answers the siblings."""

        async def tell(request: web.Request) -> web.Response:
            part = request.match_info["part"]
            if part not in PARTS:
                raise web.HTTPNotFound
            return web.Response(
                body=orjson.dumps(self._tell(part)), content_type="application/json"
            )

        application = web.Application()
        application.router.add_get("/{part}", tell)
        return application

    async def listen(self) -> web.AppRunner | None:
        """Answers the siblings until the runner is cleaned up; None when there are none."""
        if self._place is None:
            return None
        path = self._place.socket(self._place.number)
        with suppress(FileNotFoundError):
            os.unlink(path)  # of a worker that died  # noqa: PTH108
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=STOP_SECONDS)
        await runner.setup()
        await web.UnixSite(runner, path).start()
        return runner
