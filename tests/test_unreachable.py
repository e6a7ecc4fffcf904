"""A database that cannot be reached: what the first lines of the log say of it, and how the start
ends that needs it.
"""

import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from geosvc.database.target import DatabaseTarget, NotConnected, target_of, why_unreachable
from geosvc.devdb.cluster import SUPERUSER, Cluster
from tests.conftest import FAST, execute
from tests.processes import serving

PASSWORD = "sesame-9-open"
PATIENCE = 60
NO_POSTGRESQL = b"HTTP/1.1 400 Bad Request\r\n\r\n"


@pytest.fixture(scope="module")
def listening(cluster_folder: Path) -> Iterator[tuple[Cluster, int]]:
    """A server on a TCP port that wants a password, without TLS; with databases that not everybody
    may enter.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    cluster = Cluster(cluster_folder / "listening", port, {**FAST, "listen_addresses": "127.0.0.1"})
    with cluster.used():
        url = cluster.url("postgres", SUPERUSER)
        for sql in (
            f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'",
            "CREATE ROLE sleeper NOLOGIN PASSWORD 'x'",
            "CREATE DATABASE closed",
            "REVOKE CONNECT ON DATABASE closed FROM PUBLIC",
            "CREATE DATABASE plain",
            "CREATE DATABASE full_up CONNECTION LIMIT 0",
        ):
            execute(url, sql)
        yield cluster, port
    cluster.remove()


@contextmanager
def answering(words: bytes) -> Iterator[tuple[int, threading.Semaphore]]:
    """Something on a port that is no PostgreSQL; the semaphore is released for each who was
    answered.
    """
    answered = threading.Semaphore(0)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(words)
                answered.release()

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1], answered
        server.shutdown(socket.SHUT_RDWR)


def free_port() -> int:
    """One that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


WRONG = {
    "wrong password": (
        "postgresql://reader:{word}x@127.0.0.1:{port}/plain",
        'password authentication failed for user "reader"',
    ),
    "no password": ("postgresql://reader@127.0.0.1:{port}/plain", "password|authentication"),
    "no such role": (
        "postgresql://nobody:{word}@127.0.0.1:{port}/plain",
        'password authentication failed for user "nobody"',
    ),
    "role that may not log in": (
        "postgresql://sleeper:x@127.0.0.1:{port}/plain",
        'role "sleeper" is not permitted to log in',
    ),
    "no such database": (
        "postgresql://reader:{word}@127.0.0.1:{port}/nope",
        'database "nope" does not exist',
    ),
    "no right to connect": (
        "postgresql://reader:{word}@127.0.0.1:{port}/closed",
        'permission denied for database "closed"',
    ),
    "too many connections": (
        "postgresql://reader:{word}@127.0.0.1:{port}/full_up",
        "too many connections for database",
    ),
    "nobody listens": ("postgresql://reader:{word}@127.0.0.1:{free}/plain", "Connection refused"),
    "no such host": (
        "postgresql://reader:{word}@no-such-host.invalid:5433/plain?sslmode=disable",
        "name of the host is not known",
    ),
    "no socket": (
        "postgresql://reader:{word}@/plain?host=/nowhere/at/all&port=5433",
        "No such file or directory",
    ),
    "no TLS there": (
        "postgresql://reader:{word}@127.0.0.1:{port}/plain?sslmode=require",
        "the server takes no TLS",
    ),
    "no PostgreSQL there": (
        "postgresql://reader:{word}@127.0.0.1:{other}/plain",
        "closed the connection|does not speak",
    ),
    "all of several hosts": (
        "postgresql://reader:{word}@127.0.0.1:{free},127.0.0.1:{free}/plain",
        "Connection refused",
    ),
    "wrong kind of server": (
        "postgresql://reader:{word}@127.0.0.1:{port}/plain?target_session_attrs=standby",
        "match the target attribute",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_the_first_line_says_where_to_and_what_the_server_said_and_no_other_repeats_it(
    listening: tuple[Cluster, int], kind: str
) -> None:
    template, reason = WRONG[kind]
    with answering(NO_POSTGRESQL) as (other, _):
        url = template.format(port=listening[1], word=PASSWORD, free=free_port(), other=other)
        with serving(url, catalog_poll_seconds="0.05", pool_acquire_seconds="2") as running:
            lost = running.wait_for("database_lost")
            wanted = target_of(url)
            assert (lost["host"], lost["port"], lost["database"]) == (
                wanted.host,
                wanted.port,
                wanted.database,
            )
            assert re.search(reason, lost["reason"]), lost
            assert running.url  # and it goes on trying
            assert running.stop() == 0
        assert PASSWORD not in str(running.log)
        told = [line["event"] for line in running.log]
        assert told.count("database_lost") == 1, running.log
        assert set(told) <= {"database_lost", "server_started", "server_stopping"}, running.log


def test_the_same_reason_is_told_once_however_often_it_is_tried() -> None:
    with answering(NO_POSTGRESQL) as (port, answered):
        url = f"postgresql://reader@127.0.0.1:{port}/plain"
        with serving(url, catalog_poll_seconds="0.05", pool_acquire_seconds="2") as running:
            for _ in range(20):
                assert answered.acquire(timeout=PATIENCE)
            assert running.url
            assert running.stop() == 0
    assert [line["event"] for line in running.log].count("database_lost") == 1, running.log


@pytest.mark.parametrize(
    ("kind", "workers"),
    [
        ("wrong password", "1"),
        ("no such database", "2"),
        ("nobody listens", "1"),
        ("no such host", "1"),
        ("no TLS there", "1"),
    ],
)
def test_a_start_that_needs_the_database_ends_with_one_line(
    listening: tuple[Cluster, int], kind: str, workers: str
) -> None:
    template, reason = WRONG[kind]
    url = template.format(port=listening[1], word=PASSWORD, free=free_port())
    command = [
        sys.executable,
        "-m",
        "geosvc",
        "serve",
        url,
        "--require-database",
        "--workers",
        workers,
        "--port",
        "0",
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert run.returncode == 1
    assert re.search(reason, run.stderr)
    assert str(target_of(url)) in run.stderr
    assert PASSWORD not in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_a_database_without_postgis_is_told_once_and_ends_a_start_that_needs_it(
    listening: tuple[Cluster, int],
) -> None:
    url = f"postgresql://reader:{PASSWORD}@127.0.0.1:{listening[1]}/plain"
    with serving(url, catalog_poll_seconds="0.05") as running:
        assert running.wait_for("postgis_missing")["cure"] == "CREATE EXTENSION postgis"
        assert running.url
        running.stop()
    assert sum(line["event"] == "postgis_missing" for line in running.log) == 1
    with serving(url, require_database="true") as running:
        assert running.process.wait(PATIENCE) == 1
    assert "has no PostGIS: CREATE EXTENSION postgis" in str(running.log)


@pytest.mark.parametrize("options", [(), ("--require-database",)], ids=["", "required"])
def test_the_url_can_stand_alone_behind_serve(
    listening: tuple[Cluster, int], options: tuple[str, ...]
) -> None:
    cluster = listening[0]
    execute(
        cluster.url("plain", SUPERUSER),
        "CREATE SCHEMA IF NOT EXISTS p; CREATE EXTENSION IF NOT EXISTS postgis SCHEMA p",
    )
    try:
        with serving(
            None, cluster.url("plain", SUPERUSER), *options, database_url="postgresql://beaten@/x"
        ) as running:
            assert running.wait_for("catalog_loaded")["collections"] == 0
            assert running.url
    finally:
        execute(cluster.url("plain", SUPERUSER), "DROP EXTENSION postgis")


def said_on_a_terminal(command: list[str], stop_at: str, environment: dict[str, str]) -> str:
    """What a program writes to a terminal until it says `stop_at`; then it gets Ctrl-C."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said, asked = "", False
    while True:
        try:
            piece = os.read(ours, 4096).decode()
        except OSError:  # the other end is closed
            break
        said += piece
        if stop_at in said and not asked:
            process.send_signal(signal.SIGINT)
            asked = True
        if not piece:
            break
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    return said


@pytest.mark.parametrize(
    ("log_format", "is_json"), [("", False), ("json", True), ("console", False)]
)
def test_on_a_terminal_the_log_is_for_people_unless_it_is_set(
    server_url: str, log_format: str, is_json: bool
) -> None:
    environment = {**os.environ, "GEOSVC_LOG_FORMAT": log_format}
    command = [
        sys.executable,
        "-m",
        "geosvc",
        "serve",
        server_url,
        "--port",
        "0",
        "--admin-port",
        "0",
    ]
    said = said_on_a_terminal(command, "server_started", environment)
    assert ('"event":"server_started"' in said) == is_json
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "arguments",
    [("serve",), ("check",), ("migrate", "status"), ("publish", "x")],
    ids=lambda each: each[0],
)
def test_without_a_database_and_without_postgresql_the_option_is_named_first(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/PG_VERSION").write_text(
        "9"
    )  # of a version that is not installed: as if there were none
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GEOSVC_")
    }
    environment["GEOSVC_DATA_DIR"] = str(tmp_path)
    command = [sys.executable, "-m", "geosvc", *arguments]
    run = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False
    )
    assert run.returncode == 1
    assert "--database-url postgresql://" in run.stderr.splitlines()[0]
    assert "not installed" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("url", "environment", "target"),
    [
        ("postgresql://reader@db.example.org/gis", {}, ("db.example.org", "5432", "gis", "reader")),
        (
            "postgres://reader:p%40ss@db:6000/gis?sslmode=require",
            {},
            ("db", "6000", "gis", "reader"),
        ),
        ("postgresql://reader:a@b@db/gis", {}, ("db", "5432", "gis", "reader")),
        ("postgresql:///gis?host=/run/pg&port=5433&user=x", {}, ("/run/pg", "5433", "gis", "x")),
        ("postgresql://r@%2Frun%2Fpg/gis", {}, ("/run/pg", "5432", "gis", "r")),
        ("postgresql://r@a:1,b:2/gis", {}, ("a,b", "1,2", "gis", "r")),
        ("postgresql://r@a,b/gis", {"PGPORT": "7000"}, ("a,b", "7000", "gis", "r")),
        ("postgresql://r@[::1]:5499/gis", {}, ("[::1]", "5499", "gis", "r")),
        ("postgresql://r@/", {"PGHOST": "/sock"}, ("/sock", "5432", "r", "r")),
        ("postgresql://", {"PGUSER": "u", "PGDATABASE": "d"}, ("localhost", "5432", "d", "u")),
        ("postgresql:///?dbname=e&user=u", {"PGDATABASE": "d"}, ("localhost", "5432", "e", "u")),
    ],
)
def test_where_a_dsn_leads(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    environment: dict[str, str],
    target: tuple[str, str, str, str],
) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert target_of(url) == DatabaseTarget(*target)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno 99]"
                " x"
            ),
            "Connection refused",
        ),
        (TimeoutError(), "no answer in time"),
        (TimeoutError(110, "Connection timed out"), "Connection timed out"),
        (ConnectionResetError(104, "x"), "Connection reset by peer"),
        (
            ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"),
            "TLS failed",
        ),
        (ValueError("invalid literal for int(): 'secret'"), "asyncpg does not understand the URL"),
        (asyncpg.PostgresError("no such thing\nand a second line"), "no such thing"),
        (NotConnected("not there\nand a second line"), "not there"),
        (OSError("of no number\nand a second line"), "of no number"),
    ],
)
def test_why_a_connection_cannot_be_made(error: BaseException, words: str) -> None:
    told = why_unreachable(error)
    assert told.startswith(words)
    assert "\n" not in told


def test_a_command_that_cannot_connect_says_where_to_and_why(
    listening: tuple[Cluster, int],
) -> None:
    url = f"postgresql://reader:{PASSWORD}x@127.0.0.1:{listening[1]}/plain"
    command = [sys.executable, "-m", "geosvc", "check", "--database-url", url]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert run.returncode == 1
    assert f"127.0.0.1 port {urlsplit(url).port}, database plain" in " ".join(run.stdout.split())
    assert "password authentication failed" in " ".join(run.stdout.split())
