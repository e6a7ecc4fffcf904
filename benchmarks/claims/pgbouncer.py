"""A PgBouncer before the database, in transaction mode, on a Unix socket of its own."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from benchmarks.servers import START_SECONDS, STOP_SECONDS
from geosvc.devdb.server_user import server_user
from geosvc.errors import StartError

_PORT = 6432


@contextmanager
def pgbouncer(url: str, connections: int) -> Iterator[str | None]:
    """The URL of the database through a pooler; None where PgBouncer is not installed."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        yield None
        return
    with TemporaryDirectory() as folder:
        config = Path(folder, "pgbouncer.ini")
        config.write_text(_configuration(url, folder, connections), "utf-8")
        user = server_user()
        switch = []
        if user is not None:
            shutil.chown(folder, user.pw_uid)
            switch = ["-u", user.pw_name]
        process = subprocess.Popen([program, "-q", *switch, str(config)])
        try:
            _wait_for(Path(folder, f".s.PGSQL.{_PORT}"), process)
            parts = urlsplit(url)
            yield f"postgresql://{parts.username}@{parts.path}?host={quote(folder)}&port={_PORT}"
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _configuration(url: str, folder: str, connections: int) -> str:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    target = {
        "host": query.get("host", parts.hostname),
        "port": query.get("port", str(parts.port or 5432)),
        "dbname": unquote(parts.path.removeprefix("/")),
        "user": parts.username,
        "password": parts.password,
    }
    given = " ".join(f"{name}={value}" for name, value in target.items() if value)
    return f"""[databases]
{target["dbname"]} = {given}
[pgbouncer]
listen_addr =
listen_port = {_PORT}
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 200
log_connections = 0
log_disconnections = 0
"""


def _wait_for(socket: Path, process: "subprocess.Popen[bytes]") -> None:
    until = perf_counter() + START_SECONDS
    while not socket.exists():
        if process.poll() is not None or perf_counter() > until:
            raise StartError("PgBouncer did not start")
        sleep(0.01)
