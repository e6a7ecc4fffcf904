"""The signals that end a command in order.

Ctrl-C, SIGTERM, and SIGHUP of a terminal that is closed.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ORDERLY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_last = signal.SIGINT


def stop_signals() -> tuple[signal.Signals, ...]:
    """Those that end the process.

    One that whoever started it ignores, as nohup does SIGHUP, stays ignored.
    """
    return tuple(number for number in _ORDERLY if signal.getsignal(number) != signal.SIG_IGN)


def note_stop(number: int) -> None:
    """Remembers the signal that ends the process, for its exit status."""
    global _last
    _last = signal.Signals(number)


def exit_status() -> int:
    """Of a process that a signal has ended, as a shell tells it: 130 after Ctrl-C."""
    return 128 + _last


def interrupt(number: int, _frame: FrameType | None) -> None:
    """A handler that makes of SIGTERM and SIGHUP what Ctrl-C is to Python: a KeyboardInterrupt,
    which asyncio turns into a cancellation of what it runs.
    """
    note_stop(number)
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL, None):
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


@contextmanager
def _handled(numbers: tuple[signal.Signals, ...], handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, each in previous.items():
            signal.signal(number, each)


@contextmanager
def interrupted_by_any() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGHUP interrupt it as Ctrl-C does, so that it ends what it
    has begun.
    """
    with _handled(tuple(number for number in stop_signals() if number != signal.SIGINT), interrupt):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """While the block runs, no signal cuts it short: for the end, which takes seconds at the
    most.
    """
    with _handled(_ORDERLY, signal.SIG_IGN):
        yield
