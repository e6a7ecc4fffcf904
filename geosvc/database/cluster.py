"""The private PostgreSQL + PostGIS cluster: made with initdb in a folder of its own, on a Unix socket only.

It never touches another cluster: everything it does happens below its folder, which carries a marker. Run as root, the
server belongs to an unprivileged user, as PostgreSQL demands.
"""

import fcntl
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from urllib.parse import quote

from geosvc.errors import ClusterError

SUPERUSER = "postgres"
OWNER = "geosvc"
DATABASE = "geosvc"
START_SECONDS = 60
MARKER = "geosvc-cluster"
_ROOT_FOLDER = Path("/var/lib/geosvc")
_MAX_SOCKET_FOLDER = 85  # bytes; a Unix socket's whole path has at most 107
_DEBIAN_BINARIES = "/usr/lib/postgresql/*/bin"
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}
INSTALL_COMMAND = "sudo apt-get install postgresql-postgis"


def default_folder() -> Path:
    """Where the cluster lives when no setting says otherwise: below the user's data folder; for root, /var/lib/geosvc."""
    return _ROOT_FOLDER if os.geteuid() == 0 else Path.home() / ".local/share/geosvc"


def _version(binaries: Path) -> int:
    """The major version: of Debian's folders by their name, else by asking."""
    match = re.search(r"postgresql/(\d+)/", str(binaries))
    if match is None:
        asked = subprocess.run([str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=False)
        match = re.search(r"(\d+)", asked.stdout)
    return int(match.group(1)) if match else 0


def _has_postgis(binaries: Path) -> bool:
    command = [str(binaries / "pg_config"), "--sharedir"]
    try:
        share = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        # Debian's pg_config is in a package for developers: its folders have a fixed shape
        share = f"/usr/share/postgresql/{_version(binaries)}"
    return Path(share, "extension/postgis.control").is_file()


def find_binaries(major: int | None = None) -> Path:
    """The folder of initdb and pg_ctl of the newest PostgreSQL that has PostGIS.

    Args:
        major: only of this major version.
    Raises: ClusterError that names the command which installs them.
    """
    found = sorted(Path("/").glob(_DEBIAN_BINARIES.lstrip("/")), key=_version, reverse=True)
    on_path = shutil.which("initdb")
    candidates = [*found, *([Path(on_path).resolve().parent] if on_path else [])]
    for binaries in candidates:
        if (binaries / "initdb").is_file() and _has_postgis(binaries) and major in (None, _version(binaries)):
            return binaries
    wanted = f"PostgreSQL {major}" if major else "PostgreSQL"
    raise ClusterError(f"{wanted} with PostGIS is not installed. On Debian or Ubuntu: make setup, or {INSTALL_COMMAND}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A private cluster in a folder.

    Attributes:
        folder: holds data/, run/ (the socket) and log.
        port: of the socket's name only, unless `settings` say otherwise.
        settings: of postgresql.conf beside those that every private cluster has.
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
        """Where the Unix socket is: below the folder, or below /tmp when that path is too long for a socket."""
        below = self.folder / "run"
        if len(os.fsencode(below)) <= _MAX_SOCKET_FOLDER:
            return below
        return Path(gettempdir()) / f"geosvc-{blake2b(os.fsencode(self.folder), digest_size=6).hexdigest()}"

    def url(self, database: str = DATABASE, user: str = OWNER) -> str:
        """The DSN of a database."""
        return f"postgresql://{user}@/{quote(database)}?host={quote(str(self.socket_folder))}&port={self.port}"

    def is_running(self) -> bool:
        """Whether the server is up."""
        if not (self.data / "PG_VERSION").is_file():
            return False
        return self._run("pg_ctl", "status", "-D", str(self.data), check=False).returncode == 0

    def start(self) -> bool:
        """Makes the cluster if there is none, and starts it if it does not run.

        Returns: whether it was started by this call.
        Raises: ClusterError.
        """
        with self._locked():
            if not (self.data / "PG_VERSION").is_file():
                self._make()
            if self.is_running():
                return False
            self._forget_dead_server()
            self._write_settings()
            self._own(self.socket_folder)
            options = ("-w", "-t", str(START_SECONDS), "-D", str(self.data), "-l", str(self.log))
            if self._run("pg_ctl", "start", *options, check=False).returncode != 0:
                last = self.log.read_text("utf-8", "replace").strip().splitlines()[-1:] if self.log.is_file() else []
                raise ClusterError(f"the private PostgreSQL did not start; {self.log} says: {' '.join(last)}")
            return True

    def stop(self) -> None:
        """Stops the server; running statements are cancelled. Does nothing when it does not run."""
        if self.is_running():
            self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self.data))

    def remove(self) -> None:
        """Stops the server and removes the folder with all data.

        Raises: ClusterError when the folder is not one that geosvc made.
        """
        if not self.folder.exists():
            return
        if not (self.folder / MARKER).is_file():
            raise ClusterError(f"{self.folder} was not made by geosvc; it is left alone")
        self.stop()
        shutil.rmtree(self.folder)

    def ensure_database(self, database: str = DATABASE) -> None:
        """Makes the role that owns and serves, the database, and PostGIS in it, where they are missing."""
        if OWNER not in self.query("postgres", "SELECT rolname FROM pg_roles").splitlines():
            # its own name is that of the schema geosvc, where nothing of the user's belongs
            self.query("postgres", f'CREATE ROLE "{OWNER}" LOGIN; ALTER ROLE "{OWNER}" SET search_path = public')
        if database not in self.query("postgres", "SELECT datname FROM pg_database").splitlines():
            self.query("postgres", f'CREATE DATABASE "{database}" OWNER "{OWNER}" TEMPLATE template0')
        self.query(database, "SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS postgis")

    def query(self, database: str, sql: str) -> str:
        """Runs SQL of geosvc's own as the superuser, by psql; the rows as text."""
        connection = ("-h", str(self.socket_folder), "-p", str(self.port), "-U", SUPERUSER, "-d", database)
        return self._run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *connection, "-c", sql).stdout.strip()

    def _make(self) -> None:
        if self.data.exists() and any(self.data.iterdir()):
            raise ClusterError(f"{self.data} holds something that is no PostgreSQL cluster; it is left alone")
        self._own(self.data)
        self._run(
            "initdb",
            *("-D", str(self.data), "-U", SUPERUSER, "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--auth-local=trust", "--auth-host=scram-sha-256"),
        )
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write("include 'geosvc.conf'\n")

    def _write_settings(self) -> None:
        settings = {
            **_SETTINGS,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_folder),
            **self.settings,
        }
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
        path = self.data / "geosvc.conf"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._own(path)

    def _forget_dead_server(self) -> None:
        """Removes the pid file of a server that was killed, when its number belongs to another program by now."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.is_file():
            return
        pid = pid_file.read_text("utf-8").split("\n", 1)[0].strip()
        command = Path(f"/proc/{pid}/comm")
        if Path("/proc/self").exists() and not (command.is_file() and command.read_text().strip() == "postgres"):
            pid_file.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time makes and starts the cluster."""
        self._own(self.folder)
        (self.folder / MARKER).touch()
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _own(self, path: Path) -> None:
        """Makes a folder of the server's user, with no access for others, or gives it the file."""
        if not path.is_file():
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        user = server_user()
        if user is not None:
            os.chown(path, user.pw_uid, user.pw_gid)

    def _run(self, program: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        version = self.data / "PG_VERSION"
        binaries = find_binaries(int(version.read_text()) if version.is_file() else None)
        user = server_user()
        # its own session: Ctrl-C in the terminal is for geosvc, which then stops the server in order
        try:
            result = _execute([str(binaries / program), *args], self.folder, user)
        except PermissionError:
            name = user.pw_name if user else "this user"
            raise ClusterError(f"{name} cannot enter {self.folder}: set GEOSVC_DATA_DIR to a folder it can") from None
        if check and result.returncode != 0:
            raise ClusterError(f"{program} failed: {(result.stderr.strip().splitlines() or ['no reason given'])[-1]}")
        return result


def server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as; None when that is the user of this process."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ClusterError("run as root, geosvc needs the user postgres or nobody for the server")


def _execute(command: Sequence[str], folder: Path, user: pwd.struct_passwd | None) -> subprocess.CompletedProcess[str]:
    # the server inherits standard output: a pipe would stay open as long as it runs
    with TemporaryFile("w+", encoding="utf-8") as output:
        result = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            check=False,
        )
        output.seek(0)
        text = output.read()
    return subprocess.CompletedProcess(result.args, result.returncode, text, text)
