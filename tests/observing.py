"""How tests watch a service that runs in this process."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from geosvc.events import Event, subscribe

PATIENCE_SECONDS = 10.0
E = TypeVar("E", bound=Event)


@contextmanager
def seen(kind: type[E]) -> Iterator[list[E]]:
    """The events of a kind that are emitted in the block."""
    found: list[Any] = []
    end = subscribe(found.append, kind)
    try:
        yield found
    finally:
        end()


async def until(condition: Callable[[], Any]) -> Any:
    """What the condition says as soon as it is true; fails when that takes too long."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (result := condition()):
            await asyncio.sleep(0.01)
    return result
