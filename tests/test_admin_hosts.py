"""The admin listener by other names: whatever is asked, in whatever way."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from geosvc.routes import ADMIN_ROUTES
from tests.processes import Running, serving

PATHS = sorted({(route.method, route.path.replace("{pid}", "1")) for route in ADMIN_ROUTES})
HEADERS = [
    "Accept: */*",
    "Accept: text/html",
    "X-Forwarded-Host: localhost",
    "Origin: http://evil.example",
    "Forwarded: host=localhost",
]


@pytest.fixture(scope="module")
def admin(sample_url: str) -> Iterator[Running]:
    """A service whose admin listener has a name, too."""
    with serving(sample_url, admin_hosts="geosvc.internal,*.svc.cluster.local") as running:
        running.wait_for("server_started")
        yield running


def ask(running: Running, request: str) -> tuple[int, bytes]:
    """Status and all that comes."""
    parts = urlsplit(running.admin_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(request.encode())
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    return int(answer.split(b" ", 2)[1]), answer


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *PATHS,
        ("HEAD", "/"),
        ("GET", "/nothing"),
        ("PUT", "/livez"),
        ("OPTIONS", "/"),
        ("POST", "/activity"),
    ],
)
def test_the_admin_listener_answers_to_its_own_names_alone(
    admin: Running, method: str, path: str
) -> None:
    for header in HEADERS:
        tail = f"{header}\r\nConnection: close\r\n\r\n"
        status, answer = ask(
            admin, f"{method} {path} HTTP/1.1\r\nHost: evil.example:8081\r\n{tail}"
        )
        assert status == 421, answer
        assert b"Access-Control" not in answer
        if method != "HEAD":
            assert b"GEOSVC_ADMIN_HOSTS" in answer
    for host in (
        "localhost",
        "127.0.0.1:8081",
        "[::1]",
        "10.0.0.7:8081",
        "geosvc.internal",
        "geosvc.prod.svc.cluster.local:8081",
    ):
        assert (
            ask(admin, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")[0]
            != 421
        )


def test_a_probe_without_a_host_is_answered(admin: Running) -> None:
    assert ask(admin, "GET /livez HTTP/1.0\r\n\r\n")[0] == 200
    assert ask(admin, "GET /livez HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")[0] == 200


def test_two_hosts_are_no_request(admin: Running) -> None:
    for hosts in ("Host: localhost\r\nHost: evil.example", "Host: evil.example\r\nHost: localhost"):
        assert ask(admin, f"GET /livez HTTP/1.1\r\n{hosts}\r\nConnection: close\r\n\r\n")[0] in (
            400,
            421,
        )


def test_the_problem_says_what_to_set(admin: Running) -> None:
    _, answer = ask(
        admin, "GET /readyz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    )
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["type"] == "urn:geosvc:problem:misdirected-request"
    assert "evil" not in problem["detail"]


@pytest.mark.parametrize("name", ["geosvc.internal:8081", "http://geosvc.internal", "a b"])
def test_a_name_that_is_none_stops_the_start(name: str) -> None:
    command = [sys.executable, "-m", "geosvc", "serve", "postgresql://x@127.0.0.1:1/x"]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"GEOSVC_ADMIN_HOSTS": name, "PATH": "/usr/bin"},
    )
    assert result.returncode == 1
    assert result.stderr.startswith("geosvc: GEOSVC_ADMIN_HOSTS")
