"""The programs that the benchmarks run beside geosvc, and the packages that install them."""

import os
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
PACKAGES_OF_PEERS = {"lighttpd": "lighttpd", "mapserv": "cgi-mapserver"}
# where Debian puts programs that are not on the path of everybody
_FOLDERS = ("/usr/sbin", "/usr/lib/cgi-bin")


def find_program(name: str) -> Path:
    """Where a program is. Raises: StartError that names the Debian package which installs it."""
    on_path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_FOLDERS)))
    if on_path is not None:
        return Path(on_path)
    try:
        beside_server = find_binaries() / name
    except ClusterError:
        beside_server = None
    if beside_server is not None and beside_server.is_file():
        return beside_server
    package = (PACKAGES | PACKAGES_OF_PEERS)[name]
    raise StartError(
        f"{name} is not installed. On Debian or Ubuntu: sudo apt-get install {package}"
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
