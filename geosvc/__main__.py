"""`python -m geosvc` is the same as the `geosvc` command."""

import os
import signal
from types import FrameType

_ORDERLY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _end(number: int, _frame: FrameType | None) -> None:
    os.write(2, b"geosvc: stopped\n")
    os._exit(128 + number)


def main() -> None:
    """Runs the command.

    Until its modules are imported, which takes half a second, a signal ends it at once.
    """
    previous = {number: signal.getsignal(number) for number in _ORDERLY}
    for number, handler in previous.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _end)
    from geosvc.cli import main as run  # noqa: PLC0415

    for number, handler in previous.items():
        signal.signal(number, handler)
    run(prog_name="geosvc")


if __name__ == "__main__":
    main()
