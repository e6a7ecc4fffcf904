"""Finds the programs of an installed PostgreSQL with PostGIS."""

import re
import shutil
import subprocess
from pathlib import Path

from geosvc.errors import ClusterError

INSTALL_COMMAND = "sudo apt-get install postgresql-postgis"
_DEBIAN_BINARIES = "usr/lib/postgresql/*/bin"


class NotInstalled(ClusterError):
    """No PostgreSQL with PostGIS is installed."""


def find_binaries(major: int | None = None) -> Path:
    """The folder of initdb and pg_ctl of the newest PostgreSQL that has PostGIS.

    Args:
        major: only of this major version.
    Raises: NotInstalled, which names the command that installs them.
    """
    candidates = sorted(Path("/").glob(_DEBIAN_BINARIES), key=_version, reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    for binaries in candidates:
        if not (binaries / "initdb").is_file() or not _has_postgis(binaries):
            continue
        if major is None or _version(binaries) == major:
            return binaries
    name = f"PostgreSQL {major}" if major else "PostgreSQL"
    raise NotInstalled(
        f"{name} with PostGIS is not installed. "
        f"On Debian or Ubuntu: make setup, or {INSTALL_COMMAND}"
    )


def _version(binaries: Path) -> int:
    """The major version, by the name of Debian's folders or by running the server."""
    match = re.search(r"postgresql/(\d+)/", str(binaries))
    if match is None:
        command = [str(binaries / "postgres"), "--version"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        match = re.search(r"(\d+)", result.stdout)
    return int(match.group(1)) if match else 0


def _has_postgis(binaries: Path) -> bool:
    command = [str(binaries / "pg_config"), "--sharedir"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        share = result.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        # Debian has pg_config in a package for developers; its folders have fixed names.
        share = f"/usr/share/postgresql/{_version(binaries)}"
    return Path(share, "extension/postgis.control").is_file()
