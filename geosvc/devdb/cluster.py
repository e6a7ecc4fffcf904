"""The private PostgreSQL + PostGIS cluster: in a folder of its own, on a Unix socket only.

Everything happens below its folder, which carries a marker: no other cluster is touched. If geosvc
runs as root, the server runs as an unprivileged user, as PostgreSQL requires.

initdb creates the cluster in a temporary folder, which is renamed when it is complete: after a kill
at any moment the next start works.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from tempfile import gettempdir
from typing import IO
from urllib.parse import quote

from geosvc.devdb.binaries import NotInstalled, find_binaries
from geosvc.devdb.server_user import failure_reason, run_as_server_user, server_user
from geosvc.errors import ClusterError
from geosvc.signals import undisturbed

SUPERUSER = "postgres"
OWNER = "geosvc"
DATABASE = "geosvc"
START_SECONDS = 60
MARKER = "geosvc-cluster"
_ROOT_FOLDER = Path("/var/lib/geosvc")
_MAX_SOCKET_FOLDER_BYTES = 85  # the whole path of a Unix socket has at most 107
_FIRST_USER_OID = 16_384  # databases that initdb creates have smaller numbers
_INCLUDE = "include 'geosvc.conf'"
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}


def default_folder() -> Path:
    """The folder of the cluster when no setting names one.

    It is below the user's data folder; for root, /var/lib/geosvc.
    """
    if os.geteuid() == 0:
        return _ROOT_FOLDER
    return Path.home() / ".local/share/geosvc"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A private cluster in a folder.

    Attributes:
        folder: has data/, run/ (the socket), log, and during initdb making/.
        port: in the name of the socket only, unless `settings` say otherwise.
        settings: of postgresql.conf, besides those that every private cluster has.
    """

    folder: Path
    port: int = 5432
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "log"

    @property
    def socket_folder(self) -> Path:
        """The folder of the Unix socket.

        It is below `folder`, or below /tmp when that path is too long for a socket.
        """
        own = self.folder / "run"
        if len(os.fsencode(own)) <= _MAX_SOCKET_FOLDER_BYTES:
            return own
        digest = blake2b(os.fsencode(self.folder), digest_size=6).hexdigest()
        return Path(gettempdir()) / f"geosvc-{digest}"

    def url(self, database: str = DATABASE, user: str = OWNER) -> str:
        """The DSN of a database."""
        host = quote(str(self.socket_folder))
        return f"postgresql://{user}@/{quote(database)}?host={host}&port={self.port}"

    @property
    def is_made(self) -> bool:
        """Whether the data folder exists; `_repair` has removed an incomplete one."""
        return (self.data / "PG_VERSION").is_file()

    def is_running(self) -> bool:
        """Whether the server is up."""
        if not self.is_made:
            return False
        return self._run("pg_ctl", "status", "-D", str(self.data), check=False).returncode == 0

    def start(self) -> bool:
        """Creates the cluster if it does not exist, and starts it if it does not run.

        Returns: whether this call started it.
        Raises: ClusterError.
        """
        with self._locked() as lock:
            self._repair()
            if not self.is_made:
                self._create(lock)
            if self.is_running():
                return False
            self._remove_stale_pid_file()
            self._write_settings()
            self._own(self.socket_folder)
            self._start_server()
            return True

    def start_for_good(self) -> None:
        """Starts it, so that only `stop` stops it. Raises: ClusterError."""
        self.start()
        self._started_for_good.touch()

    def stop(self) -> None:
        """Stops the server, if it runs, and cancels running statements."""
        self._started_for_good.unlink(missing_ok=True)
        if self.is_running():
            self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self.data))

    @contextmanager
    def used(self) -> Iterator[None]:
        """Runs the server during the block.

        The last process that uses the server stops it, unless it was started for good. A server
        that a killed process left running is stopped, too.
        Raises: ClusterError.
        """
        self._own(self.folder)
        with (self.folder / "users").open("w") as users:
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                if self.start():
                    self._started_for_good.unlink(missing_ok=True)
                yield
            finally:
                with undisturbed():
                    if _is_last(users) and not self._started_for_good.exists():
                        self.stop()

    def remove(self) -> None:
        """Stops the server and removes the folder with all data.

        Raises: ClusterError when the folder is not one that geosvc made.
        """
        if not self.folder.exists():
            return
        if not (self.folder / MARKER).is_file():
            raise ClusterError(f"{self.folder} was not made by geosvc; it is left alone")
        with suppress(NotInstalled):  # then it does not run either
            self.stop()
        shutil.rmtree(self.folder)

    def ensure_database(self, database: str = DATABASE) -> None:
        """Creates what is missing: the role that owns and serves, the database, and PostGIS."""
        if OWNER not in self.query("postgres", "SELECT rolname FROM pg_roles").splitlines():
            # The default search_path has the schema of the role's name: geosvc, which is for
            # geosvc's own tables.
            self.query(
                "postgres",
                f'CREATE ROLE "{OWNER}" LOGIN; ALTER ROLE "{OWNER}" SET search_path = public',
            )
        if database not in self.query("postgres", "SELECT datname FROM pg_database").splitlines():
            self.query(
                "postgres", f'CREATE DATABASE "{database}" OWNER "{OWNER}" TEMPLATE template0'
            )
        self.query(
            database, "SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS postgis"
        )

    def query(self, database: str, sql: str) -> str:
        """Runs SQL of geosvc's own as the superuser, by psql. Returns: the rows as text."""
        connection = ("-h", str(self.socket_folder), "-p", str(self.port), "-U", SUPERUSER)
        options = ("-XAtq", "-v", "ON_ERROR_STOP=1", *connection, "-d", database)
        return self._run("psql", *options, "-c", sql).stdout.strip()

    @property
    def _started_for_good(self) -> Path:
        """Exists when only `stop` may stop the server."""
        return self.folder / "kept"

    def _create(self, lock: IO[str]) -> None:
        if self.data.exists() and any(self.data.iterdir()):
            raise ClusterError(
                f"{self.data} has files that are not of a PostgreSQL cluster; it is left alone"
            )
        making = self.folder / "making"
        if making.exists():
            shutil.rmtree(making)
        self._own(making)
        options = ["-D", str(making), "-U", SUPERUSER, "--encoding=UTF8", "--locale=C.UTF-8"]
        options += ["--auth-local=trust", "--auth-host=scram-sha-256"]
        if self.settings.get("fsync") == "off":
            options.append("--no-sync")
        self._run("initdb", *options, lock=lock)
        with (making / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write(f"{_INCLUDE}\n")
        making.rename(self.data)

    def _repair(self) -> None:
        """Removes an incomplete data folder: older versions ran initdb in the folder itself.

        Raises: ClusterError when the folder has databases of the user.
        """
        conf = self.data / "postgresql.conf"
        if conf.is_file() and _INCLUDE in conf.read_text("utf-8").splitlines():
            return
        if not self.is_made and any(not path.is_dir() for path in self.data.rglob("*")):
            return  # not of initdb, which writes PG_VERSION first
        for database in self.data.glob("base/*"):
            if database.name.isdecimal() and int(database.name) >= _FIRST_USER_OID:
                raise ClusterError(
                    f"{conf} does not have the line {_INCLUDE}, and {self.data} has databases; "
                    "it is left alone"
                )
        shutil.rmtree(self.data, ignore_errors=not self.is_made)

    def _start_server(self) -> None:
        log_bytes = self.log.stat().st_size if self.log.is_file() else 0
        options = ("-w", "-t", str(START_SECONDS), "-D", str(self.data), "-l", str(self.log))
        started = self._run("pg_ctl", "start", *options, check=False)
        if started.returncode == 0:
            return
        output = started.stderr
        if self.log.is_file():
            written = self.log.read_bytes()[log_bytes:].decode("utf-8", "replace")
            output = written or output
        raise ClusterError(
            f"the private PostgreSQL did not start: {failure_reason(output)} (log: {self.log})"
        )

    def _write_settings(self) -> None:
        settings = {
            **_SETTINGS,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_folder),
            **self.settings,
        }
        lines: list[str] = []
        for name, value in settings.items():
            quoted = value.replace("'", "''")
            lines.append(f"{name} = '{quoted}'\n")
        path = self.data / "geosvc.conf"
        path.write_text("".join(lines), encoding="utf-8")
        self._own(path)

    def _remove_stale_pid_file(self) -> None:
        """Removes the pid file of a killed server whose pid another program has now."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.is_file() or not Path("/proc/self").exists():
            return
        pid = pid_file.read_text("utf-8").split("\n", 1)[0].strip()
        command = Path(f"/proc/{pid}/comm")
        is_server = command.is_file() and command.read_text().strip() == "postgres"
        if not is_server:
            pid_file.unlink()

    @contextmanager
    def _locked(self) -> Iterator[IO[str]]:
        """Holds a lock: one process at a time creates and starts the cluster."""
        self._own(self.folder)
        (self.folder / MARKER).touch()
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock

    def _own(self, path: Path) -> None:
        """Makes the server's user the owner of a file, or of a folder without access for others.

        Creates the folder if it does not exist.
        """
        if not path.is_file():
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        user = server_user()
        if user is not None:
            os.chown(path, user.pw_uid, user.pw_gid)

    def find_programs(self) -> Path:
        """The folder of the programs of the cluster's version; of the newest before it exists.

        Raises: NotInstalled.
        """
        if not self.is_made:
            return find_binaries()
        version = (self.data / "PG_VERSION").read_text("utf-8").strip()
        major = int(version) if version.isdecimal() else None
        try:
            return find_binaries(major)
        except NotInstalled:
            raise NotInstalled(
                f"{self.folder} was made by PostgreSQL {version}, which is not installed with "
                "PostGIS. Install it, or remove the private database with all its data: "
                "geosvc dev-db reset"
            ) from None

    def _run(
        self, program: str, *args: str, check: bool = True, lock: IO[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program of PostgreSQL.

        Args:
            check: whether a failure of the program is a ClusterError.
            lock: a locked file that the program keeps open until it ends.
        Raises: ClusterError.
        """
        command = [str(self.find_programs() / program), *args]
        result = run_as_server_user(command, self.folder, lock)
        if check and result.returncode != 0:
            raise ClusterError(f"{program} failed: {failure_reason(result.stderr)}")
        return result


def _is_last(users: IO[str]) -> bool:
    """Whether no other process has the lock. If so, none gets it until the file is closed."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
