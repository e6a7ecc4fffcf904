"""`make dev`: `geosvc serve`, started again whenever a file of the code changes."""

import subprocess
import sys
import time
from pathlib import Path

WATCHED = Path(__file__).parent.parent / "geosvc"
LOOK_SECONDS = 0.5


def _newest() -> float:
    return max(
        path.stat().st_mtime
        for path in WATCHED.rglob("*")
        if path.suffix in (".py", ".sql", ".html", ".css", ".js")
    )


def main() -> None:
    """Runs until Ctrl-C."""
    command = [sys.executable, "-m", "geosvc", "serve", *sys.argv[1:]]
    while True:
        seen = _newest()
        server = subprocess.Popen(command)
        try:
            while _newest() == seen:
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            return
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
