"""The event loop that a process serves on."""

import asyncio
import socket
from typing import Any, Literal

import uvloop


def new_loop(kind: Literal["uvloop", "asyncio"]) -> asyncio.AbstractEventLoop:
    """Makes the event loop of this kind. It reports unhandled errors, except those of abandoned
    look-ups of host names.
    """
    loop: asyncio.AbstractEventLoop
    if kind == "uvloop":
        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    loop.set_exception_handler(report_unhandled)
    return loop


def report_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Reports an unhandled error by the default handler of the loop.

    An abandoned look-up of a host name is not reported. uvloop's create_connection does not cancel
    its look-up when it is cancelled itself, so no code can handle a failure of it.
    """
    is_look_up = isinstance(context.get("exception"), socket.gaierror)
    is_abandoned = is_look_up and "future" in context
    if not is_abandoned:
        loop.default_exception_handler(context)
