"""pgbench: PostgreSQL's own rate for a statement, the limit of whatever stands before it."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from benchmarks.programs import find_program
from geosvc.errors import StartError

Mode = Literal["extended", "prepared"]


def client_environment(session: Mapping[str, str]) -> dict[str, str]:
    """The environment in which libpq's programs have these settings in their sessions."""
    escaped = {name: re.sub(r"([\\ ])", r"\\\1", value) for name, value in session.items()}
    return {
        **os.environ,
        "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in escaped.items()),
    }


@dataclass(frozen=True, slots=True)
class Sessions:
    """The database, the settings of each session, and how many there are."""

    url: str
    settings: Mapping[str, str]
    clients: int


def measure_pgbench(
    sessions: Sessions, scripts: Sequence[str], seconds: float, mode: Mode
) -> float:
    """Transactions a second; each is one of the scripts at random.

    Args:
        mode: extended plans every time, as geosvc's forced custom plans do; prepared plans once a
            connection.
    Raises: StartError with what pgbench said.
    """
    with TemporaryDirectory() as folder:
        files: list[str] = []
        for number, script in enumerate(scripts):
            path = Path(folder, f"{number}.sql")
            path.write_text(script, "utf-8")
            files += ["-f", str(path)]
        options = ["-n", "-M", mode, "-c", str(sessions.clients), "-T", str(max(round(seconds), 1))]
        result = subprocess.run(
            [str(find_program("pgbench")), *options, *files, sessions.url],
            env=client_environment(sessions.settings),
            capture_output=True,
            text=True,
            check=False,
        )
    rate = re.search(r"^tps = ([\d.]+)", result.stdout, re.MULTILINE)
    if result.returncode != 0 or rate is None:
        raise StartError(f"pgbench failed: {result.stderr.strip()[-500:]}")
    return float(rate[1])
