"""The programs that the benchmarks run beside geosvc, and the packages that install them."""

import shutil
from pathlib import Path

from geosvc.devdb.binaries import find_binaries
from geosvc.errors import ClusterError, StartError

PACKAGES = {
    "wrk": "wrk",
    "pgbench": "postgresql",
    "psql": "postgresql-client",
    "ogr2ogr": "gdal-bin",
}


def find_program(name: str) -> Path:
    """Where a program is. Raises: StartError that names the Debian package which installs it."""
    on_path = shutil.which(name)
    if on_path is not None:
        return Path(on_path)
    try:
        beside_server = find_binaries() / name
    except ClusterError:
        beside_server = None
    if beside_server is not None and beside_server.is_file():
        return beside_server
    raise StartError(
        f"{name} is not installed. On Debian or Ubuntu: sudo apt-get install {PACKAGES[name]}"
    )


def check_programs() -> None:
    """Raises: StartError with a line for each program that is missing."""
    missing = []
    for name in PACKAGES:
        try:
            find_program(name)
        except StartError as error:
            missing.append(str(error))
    if missing:
        raise StartError("\n".join(missing))
