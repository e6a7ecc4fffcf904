"""The event loop that a process serves on."""

import asyncio
import socket
from typing import Any, Literal

import uvloop


def new_loop(kind: Literal["uvloop", "asyncio"]) -> asyncio.AbstractEventLoop:
    """Makes the loop of the settings, which reports what nobody handled, except abandoned name
    look-ups.
    """
    loop = uvloop.new_event_loop() if kind == "uvloop" else asyncio.new_event_loop()
    loop.set_exception_handler(report_unhandled)
    return loop


def report_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Passes a fault that nobody handled to the loop's own report.

    A look-up of a host name goes on after the connection that wanted it was cancelled: uvloop's
    create_connection waits for it without cancelling it. When it fails then, nobody can handle it,
    and nothing is wrong.
    """
    abandoned = "future" in context and isinstance(context.get("exception"), socket.gaierror)
    if not abandoned:
        loop.default_exception_handler(context)
