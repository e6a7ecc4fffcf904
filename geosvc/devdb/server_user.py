"""The user of the private server, and programs that run as that user."""

import os
import pwd
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from geosvc.errors import ClusterError

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_FATAL = re.compile(r"(?:FATAL|PANIC|ERROR|error): +(.*)")


def server_user() -> pwd.struct_passwd | None:
    """The user that the server runs as; None when that is the user of this process.

    PostgreSQL refuses to run as root.
    Raises: ClusterError for root, when no other user exists.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ClusterError("run as root, geosvc needs the user postgres or nobody for the server")


def run_as_server_user(
    command: Sequence[str], folder: Path, lock: IO[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program in a folder; its output is both stdout and stderr of the result.

    Args:
        lock: a locked file that the program keeps open, and so locked, until it ends.
    Raises: ClusterError when the user has no access to the folder.
    """
    user = server_user()
    options: dict[str, Any] = {}
    if user is not None:
        options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    if lock is not None:
        options["pass_fds"] = (lock.fileno(),)
    # A file, not a pipe: the server inherits standard output, and a pipe would stay open.
    with TemporaryFile("w+", encoding="utf-8") as output:
        try:
            # A session of its own: Ctrl-C in the terminal is for geosvc, which stops the server.
            result = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_ENVIRONMENT,
                check=False,
                **options,
            )
        except PermissionError:
            name = user.pw_name if user else "this user"
            raise ClusterError(
                f"{name} cannot enter {folder}: set GEOSVC_DATA_DIR to a folder that it can enter"
            ) from None
        output.seek(0)
        text = output.read()
    return subprocess.CompletedProcess(result.args, result.returncode, text, text)


def failure_reason(text: str) -> str:
    """The first line of an output that reports an error, else the last line."""
    found = _FATAL.search(text)
    if found is not None:
        return found[1]
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"
