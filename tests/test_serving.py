"""The built program: it starts without a database, heals, lets go of what nobody waits for, and
stops in order.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from geosvc.devdb.cluster import SUPERUSER, Cluster
from tests.conftest import FAST, execute
from tests.processes import Running, serving, unexpected

SLOW = """
CREATE SCHEMA geosvc_functions;
CREATE FUNCTION geosvc_functions.slow(seconds float8) RETURNS TABLE (id int, geom geometry) LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(seconds); RETURN QUERY SELECT 1, ST_Point(1, 2); END $$;
CREATE TABLE points AS SELECT i AS id, repeat('x', 500) AS filler,
  ST_SetSRID(ST_Point(i / 10000.0, 1), 4326)::geometry(Point, 4326) AS geom
FROM generate_series(1, 50000) i;
ALTER TABLE points ADD PRIMARY KEY (id);
CREATE VIEW trickle AS SELECT id, geom, pg_sleep(0.001)::text AS pause FROM points;
CREATE VIEW breaks AS SELECT id, geom, 1 / (20000 - id) AS quotient FROM points;
ANALYZE;
"""


def get(url: str, timeout: float = 30) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of a GET, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> float:
    """Waits until the condition holds; returns how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it never came true"
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.fixture
def slow_url(bare_database_url: str) -> str:
    execute(bare_database_url, SLOW)
    return bare_database_url


def active(url: str) -> int:
    """Statements that geosvc runs, or transactions that it holds open, in this database."""

    async def ask() -> int:
        connection = await asyncpg.connect(url)
        try:
            number: int = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'geosvc%' AND"
                " datname = current_database()"
                " AND state <> 'idle' AND query NOT LIKE '%fingerprint%'"
            )
            return number
        finally:
            await connection.close()

    return asyncio.run(ask())


@contextmanager
def hanging_request(running: Running, path: str, read_bytes: int = 0) -> Iterator[socket.socket]:
    """A request whose response is read only so far."""
    parts = urlsplit(running.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.settimeout(20)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while read_bytes > 0:
            read_bytes -= len(connection.recv(min(read_bytes, 4096)))
        yield connection


def test_it_starts_without_a_database_and_finds_it_when_it_comes(cluster_folder: Path) -> None:
    cluster = Cluster(cluster_folder / "late", settings=FAST)
    url = cluster.url("postgres", SUPERUSER)
    with serving(url, catalog_poll_seconds="0.2", pool_acquire_seconds="1") as running:
        assert get(f"{running.admin_url}/livez")[0] == 200
        assert get(f"{running.admin_url}/readyz")[0] == 503
        status, headers, body = get(f"{running.url}/collections/points/items")
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        assert json.loads(body)["type"] == "urn:geosvc:problem:database-unavailable"
        running.wait_for("database_lost")
        cluster.start()
        try:
            execute(url, "CREATE EXTENSION postgis")
            execute(url, SLOW)
            running.wait_for("database_found")
            eventually(lambda: get(f"{running.admin_url}/readyz")[0] == 200)
            eventually(lambda: get(f"{running.url}/collections/points/items")[0] == 200)
            cluster.stop()
            assert get(f"{running.url}/collections/points/items")[0] == 503
            assert get(f"{running.admin_url}/livez")[0] == 200
            assert get(f"{running.admin_url}/readyz")[0] == 503
            cluster.start()
            eventually(lambda: get(f"{running.url}/collections/points/items")[0] == 200)
            assert get(f"{running.url}/collections/points/items/7")[0] == 200
        finally:
            cluster.remove()


def test_a_restart_of_the_database_between_two_requests_is_not_seen(cluster_folder: Path) -> None:
    cluster = Cluster(cluster_folder / "restarted", settings=FAST)
    cluster.start()
    try:
        url = cluster.url("postgres", SUPERUSER)
        execute(url, "CREATE EXTENSION postgis")
        execute(url, SLOW)
        with serving(url, catalog_poll_seconds="60") as running:
            for path in (
                "/collections/points/items",
                "/collections/points/items/7",
                "/collections/points/export",
            ):
                assert get(running.url + path)[0] == 200
                cluster.stop()
                cluster.start()
                assert get(running.url + path)[0] == 200, path
    finally:
        cluster.remove()


def test_a_client_that_leaves_in_mid_stream_gives_its_connection_back_within_a_second(
    slow_url: str,
) -> None:
    with serving(slow_url) as running:
        with hanging_request(running, "/collections/points/export", read_bytes=100_000):
            eventually(lambda: active(slow_url) > 0)
        assert eventually(lambda: active(slow_url) == 0) < 1
        with hanging_request(running, "/collections/slow/items?seconds=30"):
            eventually(lambda: active(slow_url) > 0)
        assert eventually(lambda: active(slow_url) == 0) < 1
        with hanging_request(running, "/collections/trickle/export", read_bytes=10_000):
            eventually(lambda: active(slow_url) > 0)
        assert eventually(lambda: active(slow_url) == 0) < 1
        assert get(f"{running.url}/collections/points/items")[0] == 200
        assert running.stop() == 0
        assert not unexpected(running)


def test_a_client_that_takes_nothing_is_cut_off(slow_url: str) -> None:
    path = "/collections/points/export"
    with (
        serving(slow_url, write_stall_seconds="1") as running,
        hanging_request(running, path, read_bytes=1000),
    ):
        running.wait_for("stream_aborted")
        assert eventually(lambda: active(slow_url) == 0) < 1


def test_a_failure_in_mid_stream_never_looks_complete(slow_url: str) -> None:
    with serving(slow_url) as running:
        parts = urlsplit(running.url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        connection.request("GET", "/collections/breaks/export")
        response = connection.getresponse()
        assert response.status == 200
        with pytest.raises((IncompleteRead, ConnectionResetError)):
            response.read()
        connection.close()
        assert running.wait_for("stream_aborted")["collection"] == "breaks"
        assert get(f"{running.url}/collections/breaks/items?limit=10")[0] == 200


def test_a_stop_lets_a_running_request_end(slow_url: str) -> None:
    with serving(slow_url) as running, ThreadPoolExecutor() as pool:
        answer = pool.submit(get, f"{running.url}/collections/slow/items?seconds=2")
        eventually(lambda: active(slow_url) > 0)
        url = running.url
        assert running.stop() == 0
        status, _, body = answer.result()
        assert status == 200
        assert json.loads(body)["numberReturned"] == 1
        with pytest.raises(OSError):
            get(url)
        assert not unexpected(running)


def test_a_stop_cuts_what_does_not_end_within_the_grace_time(slow_url: str) -> None:
    with serving(slow_url, shutdown_grace_seconds="0.5") as running, ThreadPoolExecutor() as pool:
        answer = pool.submit(get, f"{running.url}/collections/slow/items?seconds=25")
        eventually(lambda: active(slow_url) > 0)
        started = time.monotonic()
        running.stop(signal.SIGINT)
        assert time.monotonic() - started < 10
        with pytest.raises(OSError):
            answer.result()
        eventually(lambda: active(slow_url) == 0)


def test_a_statement_that_takes_too_long_is_a_504(slow_url: str) -> None:
    with serving(slow_url, statement_timeout_seconds="0.3") as running:
        status, _, body = get(f"{running.url}/collections/slow/items?seconds=20")
        assert status == 504
        assert json.loads(body)["type"] == "urn:geosvc:problem:query-timeout"


def test_a_busy_pool_is_a_503_with_retry_after(slow_url: str) -> None:
    with (
        serving(
            slow_url,
            pool_max_size="1",
            pool_min_size="1",
            pool_acquire_seconds="0.3",
            catalog_poll_seconds="60",
        ) as running,
        ThreadPoolExecutor() as pool,
    ):
        assert get(f"{running.url}/collections/points/items")[0] == 200
        answer = pool.submit(get, f"{running.url}/collections/slow/items?seconds=2")
        eventually(lambda: active(slow_url) > 0)
        status, headers, body = get(f"{running.url}/collections/points/items")
        assert (status, headers["Retry-After"]) == (503, "1")
        assert json.loads(body)["type"] == "urn:geosvc:problem:pool-exhausted"
        assert answer.result()[0] == 200


def test_several_workers_share_the_port_and_a_dead_one_is_replaced(slow_url: str) -> None:
    with serving(slow_url, "--workers", "2") as running:
        pids = {running.wait_for("server_started", number)["pid"] for number in (1, 2)}
        assert len(pids) == 2
        assert len({line["url"] for line in running.log if line["event"] == "server_started"}) == 1
        os.kill(min(pids), signal.SIGKILL)
        assert running.wait_for("worker_exited")["pid"] == min(pids)
        assert running.wait_for("server_started", 3)["pid"] not in pids
        for _ in range(20):
            assert get(f"{running.url}/collections/points/items?limit=1")[0] == 200
        assert running.stop() == 0
        with pytest.raises(OSError):
            get(running.url)
        assert not unexpected(running, "worker_exited")


def test_every_worker_follows_ddl(slow_url: str) -> None:
    with serving(slow_url, "--workers", "2", catalog_poll_seconds="0.2") as running:
        running.wait_for("server_started", 2)
        execute(slow_url, "CREATE TABLE fresh (id int PRIMARY KEY, geom geometry(Point,4326))")
        running.wait_for("catalog_loaded", 4)
        for _ in range(20):
            assert b'"fresh"' in get(f"{running.url}/collections")[2]


def test_plain_asyncio_serves_as_well(slow_url: str) -> None:
    with serving(slow_url, "--loop", "asyncio") as running:
        assert get(f"{running.url}/collections/points/items?limit=5")[0] == 200
        assert running.stop() == 0


def test_a_taken_port_is_said_in_one_line(slow_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for workers in ("1", "2"):
            command = [
                sys.executable,
                "-m",
                "geosvc",
                "serve",
                "--database-url",
                slow_url,
                "--workers",
                workers,
                "--port",
                str(taken.getsockname()[1]),
                "--admin-port",
                "0",
            ]
            result = subprocess.run(
                command, capture_output=True, text=True, timeout=20, check=False
            )
            assert result.returncode == 1
            assert "cannot listen on 127.0.0.1" in result.stderr
            assert "Traceback" not in result.stderr


def test_wrong_settings_stop_the_start_with_a_line_each() -> None:
    environment = {
        **os.environ,
        "GEOSVC_PORT": "eighty",
        "GEOSVC_POOL_MAX_SIZE": "0",
        "GEOSVC_DATABASE_URL": "postgresql://u:hunter2@h/db?sslmode=prefer",
    }
    result = subprocess.run(
        [sys.executable, "-m", "geosvc", "serve"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=20,
        check=False,
    )
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 3
    assert {line.split(":")[1].strip() for line in lines} == {
        "GEOSVC_PORT",
        "GEOSVC_POOL_MAX_SIZE",
        "GEOSVC_DATABASE_URL",
    }
    assert "hunter2" not in result.stderr


def test_start_takes_two_seconds_at_most_with_a_thousand_tables_in_the_catalog(
    bare_database_url: str,
) -> None:
    execute(
        bare_database_url,
        """DO $$ BEGIN FOR i IN 1..1000 LOOP
        EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, name text, geom geometry(Point,4326))', i); END LOOP; END $$""",
    )
    with serving(bare_database_url) as running:
        assert running.wait_for("catalog_loaded")["collections"] == 1000
        assert len(json.loads(get(f"{running.url}/collections")[2])["collections"]) == 1000


def test_clients_that_read_slowly_leave_connections_for_others(slow_url: str) -> None:
    with (
        serving(slow_url, pool_max_size="5", pool_acquire_seconds="1") as running,
        ExitStack() as slow,
    ):

        def hold_another() -> int:
            slow.enter_context(hanging_request(running, "/collections/points/export"))
            return active(slow_url)

        running.wait_for("catalog_loaded")
        eventually(lambda: hold_another() >= 2)
        for _ in range(4):
            hold_another()
        for _ in range(5):
            assert get(f"{running.url}/collections/points/items/5")[0] == 200
        assert get(f"{running.url}/collections/points/export")[0] == 503


def test_head_of_a_stream_leaves_nothing_behind(slow_url: str) -> None:
    with serving(slow_url) as running:
        for _ in range(10):
            request = urllib.request.Request(
                f"{running.url}/collections/points/items?limit=9000", method="HEAD"
            )
            with urllib.request.urlopen(request, timeout=20) as response:
                assert response.status == 200
        assert running.stop() == 0
        assert not unexpected(running)


@pytest.mark.parametrize(
    ("host", "writable", "warned"),
    [("0.0.0.0", "points", True), ("0.0.0.0", "", False), ("127.0.0.1", "points", False)],
)
def test_a_warning_tells_that_strangers_may_write(
    sample_url: str, host: str, writable: str, warned: bool
) -> None:
    with serving(sample_url, "--host", host, writable=writable) as running:
        running.wait_for("server_started")
        assert running.stop() == 0
    assert any(line["event"] == "writable_by_anyone" for line in running.log) is warned
