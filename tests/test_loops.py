"""The event loop tells of every fault that nobody handled, and not of look-ups that were given
up.
"""

import asyncio
import gc
import logging
from typing import Literal

import pytest

from geosvc.server.loops import new_loop

UNKNOWN = "no-such-host.invalid"


async def _give_up_a_connection_while_its_host_is_looked_up() -> None:
    loop = asyncio.get_running_loop()
    connecting = loop.create_task(loop.create_connection(asyncio.Protocol, UNKNOWN, 5432))
    await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    # the loop answers look-ups in the order in which it got them, on few threads
    for _ in range(8):
        with pytest.raises(OSError, match=r"."):
            await loop.getaddrinfo(UNKNOWN, 5432)
    gc.collect()


async def _leave_a_failed_future() -> None:
    failed = asyncio.get_running_loop().create_future()
    failed.set_exception(OSError("nobody asked for it"))
    del failed
    gc.collect()


@pytest.mark.parametrize("kind", ["uvloop", "asyncio"])
def test_a_failed_look_up_of_a_cancelled_connection_is_not_reported(
    kind: Literal["uvloop", "asyncio"], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.DEBUG, "asyncio"),
        asyncio.Runner(loop_factory=lambda: new_loop(kind)) as runner,
    ):
        runner.run(_give_up_a_connection_while_its_host_is_looked_up())
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize("kind", ["uvloop", "asyncio"])
def test_another_fault_that_nobody_handled_is_reported(
    kind: Literal["uvloop", "asyncio"], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR, "asyncio"),
        asyncio.Runner(loop_factory=lambda: new_loop(kind)) as runner,
    ):
        runner.run(_leave_a_failed_future())
    assert "nobody asked for it" in caplog.text
