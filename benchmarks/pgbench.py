"""pgbench: PostgreSQL's own rate for a statement, the limit of whatever stands before it."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from benchmarks.programs import find_program
from geosvc.errors import StartError

# as geosvc's sessions are; psql and pgbench are told alike
SESSION = "-c jit=off -c timezone=UTC -c datestyle=ISO -c bytea_output=hex -c extra_float_digits=1"
Mode = Literal["extended", "prepared"]


def client_environment() -> dict[str, str]:
    """The environment of libpq's programs."""
    return {**os.environ, "PGOPTIONS": SESSION}


def measure_pgbench(url: str, scripts: Sequence[str], clients: int, seconds: float, mode: Mode) -> float:
    """Transactions a second; each is one of the scripts at random.

    Args:
        mode: extended plans every time, as geosvc's forced custom plans do; prepared plans once a connection.
    Raises: StartError with what pgbench said.
    """
    with TemporaryDirectory() as folder:
        files: list[str] = []
        for number, script in enumerate(scripts):
            path = Path(folder, f"{number}.sql")
            path.write_text(script, "utf-8")
            files += ["-f", str(path)]
        options = ["-n", "-M", mode, "-c", str(clients), "-T", str(max(round(seconds), 1))]
        result = subprocess.run(
            [str(find_program("pgbench")), *options, *files, url],
            env=client_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    rate = re.search(r"^tps = ([\d.]+)", result.stdout, re.MULTILINE)
    if result.returncode != 0 or rate is None:
        raise StartError(f"pgbench failed: {result.stderr.strip()[-500:]}")
    return float(rate[1])
