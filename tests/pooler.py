"""A real PgBouncer in transaction mode, with fewer server connections than clients."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.databases import execute

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def pooled_database(server_url: str, cluster_folder: Path) -> Iterator[tuple[str, int]]:
    """(DSN without the pooler, port of the pooler) of a database with one table and a slow
    function.
    """
    from geosvc.devdb.server_user import (
        server_user,
    )  # pytest imports this module for pure tests too

    execute(server_url, "DROP DATABASE IF EXISTS geosvc_pooled WITH (FORCE)")
    execute(server_url, "CREATE DATABASE geosvc_pooled")
    parts = urlsplit(server_url)
    direct = parts._replace(path="/geosvc_pooled").geturl()
    execute(
        direct,
        """CREATE SCHEMA gis; CREATE EXTENSION postgis SCHEMA gis;
        CREATE TABLE points AS SELECT i AS id, now() AS at, '1 day 2 hours'::interval AS span,
          gis.ST_SetSRID(gis.ST_Point(i / 1000.0, 1), 4326)::gis.geometry(Point, 4326) AS geom FROM generate_series(1, 5000) i;
        ALTER TABLE points ADD PRIMARY KEY (id); ANALYZE points; CREATE SCHEMA geosvc_functions;
        CREATE FUNCTION geosvc_functions.slow(seconds float8) RETURNS TABLE (id int, geom gis.geometry) LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep(seconds); RETURN QUERY SELECT 1, gis.ST_Point(1, 2); END $$;""",
    )
    query = dict(pair.split("=") for pair in parts.query.split("&")) if parts.query else {}
    target = {
        "host": query.get("host", parts.hostname),
        "port": query.get("port", str(parts.port or 5432)),
        "dbname": "geosvc_pooled",
        "user": parts.username,
        **({"password": parts.password} if parts.password else {}),
    }
    port = free_port()
    folder = cluster_folder / "pgbouncer"
    folder.mkdir()
    config = folder / "pgbouncer.ini"
    connection = " ".join(f"{name}={value}" for name, value in target.items()).replace("%2F", "/")
    config.write_text(f"""[databases]
geosvc_pooled = {connection}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
logfile = {folder / "log"}
""")
    server = server_user()
    if server is not None:
        shutil.chown(folder, server.pw_uid)
    switch = ["-u", server.pw_name] if server is not None else []
    process = subprocess.Popen([PGBOUNCER or "", *switch, str(config)], stderr=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    yield direct, port
    process.terminate()
    process.wait(10)
