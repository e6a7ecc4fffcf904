"""The built program as a process: started on free ports, watched by its log, stopped by a
signal.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60


@dataclass
class Running:
    """A running `geosvc serve`."""

    process: "subprocess.Popen[str]"
    log: list[dict[str, Any]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(
        self, event: str, number: int = 1, seconds: float = PATIENCE_SECONDS
    ) -> dict[str, Any]:
        """The nth line of the log with this event; fails when it does not come in time."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.log if line.get("event") == event]

        with self.changed:
            ok = self.changed.wait_for(
                lambda: len(found()) >= number or self.process.poll() is not None, seconds
            )
            assert ok, f"no {event} in {self.log}"
            assert len(found()) >= number, f"ended without {event}: {self.log}"
            return found()[number - 1]

    @property
    def url(self) -> str:
        """Where it serves."""
        return str(self.wait_for("server_started")["url"])

    @property
    def admin_url(self) -> str:
        """Where its admin listener is."""
        return str(self.wait_for("server_started")["admin_url"])

    def stop(self, number: int = signal.SIGTERM, seconds: float = PATIENCE_SECONDS) -> int:
        """Sends a signal and returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def read_log(self) -> None:
        """Collects the lines of standard error until it ends."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                parsed = json.loads(line)
            except ValueError:
                parsed = {"event": "not json", "text": line.rstrip()}
            with self.changed:
                self.log.append(parsed)
                self.changed.notify_all()


def serving(url: str | None, *options: str, **settings: str) -> AbstractContextManager[Running]:
    """`geosvc serve` for a database, until the block ends; then its log must hold no error that
    nobody asked for.

    Args:
        settings: GEOSVC_ variables, without the prefix, in lower case.
    """
    return serving_under((), url, *options, **settings)


@contextmanager
def serving_under(
    command: Sequence[str], url: str | None, *options: str, **settings: str
) -> Iterator[Running]:
    """The same, started by another command that becomes it, such as prlimit."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GEOSVC_")
    }
    environment |= {f"GEOSVC_{name.upper()}": value for name, value in settings.items()}
    command = [
        *command,
        sys.executable,
        "-m",
        "geosvc",
        "serve",
        "--port",
        "0",
        "--admin-port",
        "0",
        *options,
    ]
    if url is not None:
        command += ["--database-url", url]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    running = Running(process)
    reader = threading.Thread(target=running.read_log, daemon=True)
    reader.start()
    try:
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(PATIENCE_SECONDS)
        assert process.stderr is not None
        process.stderr.close()


def unexpected(running: Running, *expected: str) -> list[dict[str, Any]]:
    """Lines that tell of trouble, besides the expected events."""
    return [
        line
        for line in running.log
        if line.get("level") in ("error", "critical", None)
        and line.get("event") not in (*expected,)
    ]


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
