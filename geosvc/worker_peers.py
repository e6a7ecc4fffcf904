"""Requests between the workers of the service.

Each worker counts for itself. A worker that is asked for a report requests the reports of the
others over Unix sockets, so that any worker can answer for all. The sockets are in a folder that
only this user can enter.
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
    """Which of all workers of the service a worker is.

    Attributes:
        number: of the worker, from 0; a worker that replaces a dead one gets its number.
        workers: how many workers there are.
        folder: of the sockets.
    """

    number: int
    workers: int
    folder: Path

    def socket(self, number: int) -> str:
        """The path of the Unix socket of a worker."""
        return str(self.folder / f"{number}.sock")


class WorkerPeers:
    """Collects the reports of all workers.

    Args:
        slot: of this worker; None if it is the only process.
        report: this worker's report for one of PARTS, as values that JSON can write.
    """

    def __init__(self, slot: WorkerSlot | None, report: Callable[[str], Any]) -> None:
        self._slot = slot
        self._report = report

    @property
    def number(self) -> int:
        """The worker's own number."""
        if self._slot is None:
            return 0
        return self._slot.number

    async def collect(self, part: str) -> dict[int, Any]:
        """The report of each worker, by its number; None for one that does not answer in time.

        Args:
            part: one of PARTS.
        """
        if self._slot is None:
            return {0: self._report(part)}
        numbers = range(self._slot.workers)
        requests = [self._ask(self._slot, number, part) for number in numbers]
        reports = await asyncio.gather(*requests)
        return dict(zip(numbers, reports, strict=True))

    async def _ask(self, slot: WorkerSlot, number: int, part: str) -> Any:
        if number == slot.number:
            return self._report(part)
        connector = UnixConnector(slot.socket(number))
        timeout = ClientTimeout(ASK_SECONDS)
        try:
            async with (
                ClientSession(connector=connector, timeout=timeout) as session,
                session.get(f"http://worker/{part}") as response,
            ):
                return orjson.loads(await response.read())
        except (ClientError, OSError, TimeoutError, orjson.JSONDecodeError):
            return None

    def application(self) -> web.Application:
        """The application that answers the other workers."""

        async def report(request: web.Request) -> web.Response:
            part = request.match_info["part"]
            if part not in PARTS:
                raise web.HTTPNotFound
            body = orjson.dumps(self._report(part))
            return web.Response(body=body, content_type="application/json")

        application = web.Application()
        application.router.add_get("/{part}", report)
        return application

    async def listen(self) -> web.AppRunner | None:
        """Begins to answer the other workers.

        Returns: the runner, which answers until it is cleaned up; None if there are no others.
        """
        if self._slot is None:
            return None
        path = self._slot.socket(self._slot.number)
        with suppress(FileNotFoundError):
            os.unlink(path)  # a dead worker may have left it  # noqa: PTH108
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=STOP_SECONDS)
        await runner.setup()
        await web.UnixSite(runner, path).start()
        return runner
