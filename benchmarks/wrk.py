"""wrk: the rate of a service."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from benchmarks.programs import find_program
from geosvc.errors import StartError


class Load(msgspec.Struct, frozen=True):
    """What wrk saw."""

    requests: int
    seconds: float
    size_bytes: int
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def measure_wrk(
    url: str,
    paths: Sequence[str],
    clients: int,
    seconds: float,
    script_name: str = "wrk.lua",
    *,
    headers: Mapping[str, str] | None = None,
) -> Load:
    """Asks for random ones of `paths`, each client for the next as soon as it has the last.

    Raises: StartError when wrk fails, or any answer is not a success.
    """
    with NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write("\n".join(paths) + "\n")
        file.flush()
        script = Path(__file__).with_name(script_name)
        # one thread: the two cores that a small machine has are the service's and PostgreSQL's
        options = [
            "-t",
            "1",
            "-c",
            str(clients),
            "-d",
            f"{max(round(seconds), 1)}s",
            "--timeout",
            "20s",
        ]
        options += [
            option
            for name, value in (headers or {}).items()
            for option in ("-H", f"{name}: {value}")
        ]
        command = [str(find_program("wrk")), *options, "-s", str(script), url, "--", file.name]
        environment = {**os.environ, "LUA_PATH": str(script.with_name("?.lua"))}
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment
        )
    if result.returncode != 0:
        raise StartError(f"wrk failed: {(result.stderr or result.stdout).strip()[-500:]}")
    load = msgspec.json.decode(result.stdout.strip().splitlines()[-1], type=Load)
    if load.failed or not load.requests:
        raise StartError(f"{url}: {load.failed} of {load.requests} requests failed")
    return load
