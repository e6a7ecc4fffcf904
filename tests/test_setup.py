"""scripts/setup and scripts/assets: what is fetched is what the lock files say, and they can be
interrupted.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import requires
from pathlib import Path

import pytest
import trustme
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
SECONDS = 60
PACKAGES = {
    "maplibre-gl": (
        *(
            "dist/maplibre-gl.mjs",
            "dist/maplibre-gl-worker.mjs",
            "dist/maplibre-gl.css",
            "LICENSE.txt",
        ),
        "../../outside",  # what is not asked for goes nowhere
    ),
    "swagger-ui-dist": (
        *(
            "swagger-ui-bundle.js",
            "swagger-ui.css",
            "LICENSE",
            "NOTICE",
            "swagger-ui-bundle.js.LICENSE.txt",
        ),
        "package.json",
    ),
}


def packed(name: str, more: str = "") -> bytes:
    """A package as a registry has it. Args: more: what each file holds beside."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as files:
        for each in PACKAGES[name]:
            content = f"{name} {each}{more}".encode()
            member = tarfile.TarInfo(f"package/{each}")
            member.size = len(content)
            files.addfile(member, io.BytesIO(content))
    return gzip.compress(target.getvalue(), mtime=0)


@dataclass
class Registry:
    """A registry of packages on this machine, that also notes what it is asked for."""

    url: str
    held: dict[str, bytes]
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serving_packages(context: ssl.SSLContext | None = None) -> Iterator[Registry]:
    """The two packages at the usual place."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            origin.asked.append((self.path, self.headers["Authorization"]))
            found = origin.held.get(self.path.removeprefix(origin.url))
            self.send_response(200 if found is not None else 404)
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    origin = Registry(f"http{'s' if context else ''}://127.0.0.1:{server.server_port}", {})
    for name, version in (("maplibre-gl", "1.2.3"), ("swagger-ui-dist", "4.5.6")):
        origin.held[f"/{name}/-/{name}-{version}.tgz"] = packed(name)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield origin
    server.shutdown()
    server.server_close()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what scripts/assets reads; its lock file is of the packages above."""
    folder = tmp_path / "checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/assets", folder / "scripts/assets")
    packages = {}
    for name, version in (("maplibre-gl", "1.2.3"), ("swagger-ui-dist", "4.5.6")):
        digest = base64.b64encode(hashlib.sha512(packed(name)).digest()).decode()
        packages[f"node_modules/{name}"] = {"version": version, "integrity": f"sha512-{digest}"}
    (folder / "package-lock.json").write_text(json.dumps({"packages": packages}))
    return folder


def fetch(
    checkout: Path, *arguments: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Runs scripts/assets where there is no npm, with these variables alone."""
    home = checkout.parent / "home"
    home.mkdir(exist_ok=True)
    clean = {
        "PATH": str(Path(sys.executable).parent),
        "HOME": str(home),
        "PREFIX": str(checkout.parent / "prefix"),
        **environment,
    }
    command = [sys.executable, "scripts/assets", *arguments]
    return subprocess.run(
        command,
        cwd=checkout,
        env=clean,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def vendor(checkout: Path) -> dict[str, bytes]:
    """The files that are there now, without the stamp."""
    folder = checkout / "geosvc/static/vendor"
    return (
        {path.name: path.read_bytes() for path in folder.glob("*") if path.name != ".stamp"}
        if folder.is_dir()
        else {}
    )


def test_the_libraries_are_fetched_once_with_their_licences(checkout: Path) -> None:
    with serving_packages() as origin:
        assert fetch(checkout, "--check", npm_config_registry=origin.url).returncode == 1
        assert fetch(checkout, npm_config_registry=origin.url).returncode == 0
        asked = len(origin.asked)
        assert fetch(checkout, "--check", npm_config_registry=origin.url).returncode == 0
        assert fetch(checkout, npm_config_registry=origin.url).returncode == 0
        assert len(origin.asked) == asked == 2
    files = vendor(checkout)
    assert files.keys() == {
        *("maplibre-gl.mjs", "maplibre-gl-worker.mjs", "maplibre-gl.css"),
        *("swagger-ui-bundle.js", "swagger-ui.css", "LICENSES.txt"),
    }
    assert files["swagger-ui.css"] == b"swagger-ui-dist swagger-ui.css"
    assert b"======== swagger-ui-dist/NOTICE" in files["LICENSES.txt"]
    assert not (checkout / "geosvc/outside").exists()


WHERE = (
    "variable",
    "upper case variable",
    "project",
    "user",
    "userconfig",
    "machine",
    "globalconfig",
    "with a variable in it",
)


@pytest.mark.parametrize("where", WHERE)
def test_the_registry_is_where_npm_is_told_that_it_is(checkout: Path, where: str) -> None:
    home, prefix, other = (
        checkout.parent / "home",
        checkout.parent / "prefix/etc",
        checkout.parent / "other",
    )
    with serving_packages() as origin:
        line = f'; a comment\nregistry = "{origin.url}/"\nfund=false\n'
        environment = {}
        home.mkdir()
        prefix.mkdir(parents=True)
        match where:
            case "variable":
                environment["npm_config_registry"] = origin.url
            case "upper case variable":
                environment["NPM_CONFIG_REGISTRY"] = origin.url
            case "with a variable in it":
                (home / ".npmrc").write_text("registry=${WHERE}/\n")
                environment["WHERE"] = origin.url
            case "userconfig" | "globalconfig":
                other.write_text(line)
                environment[f"npm_config_{where}"] = str(other)
            case _:
                files = {
                    "project": checkout / ".npmrc",
                    "user": home / ".npmrc",
                    "machine": prefix / "npmrc",
                }
                files[where].write_text(line)
                if where == "project":
                    (home / ".npmrc").write_text(
                        "registry=http://127.0.0.1:1\n"
                    )  # the nearer one counts
        done = fetch(checkout, **environment)
    assert done.returncode == 0, done.stderr
    assert len(vendor(checkout)) == 6


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        ("//{host}/:_authToken=abc\n", "Bearer abc"),
        ("//{host}/:_auth=dXNlcjpwYXNz\n", "Basic dXNlcjpwYXNz"),
        ("//{host}/:username=user\n//{host}/:_password=cGFzcw==\n", "Basic dXNlcjpwYXNz"),
        ("//elsewhere.example/:_authToken=abc\n", None),
    ],
    ids=["token", "auth", "password", "of another host"],
)
def test_a_registry_is_told_who_asks_and_no_other_is(
    checkout: Path, lines: str, header: str | None
) -> None:
    with serving_packages() as origin:
        (checkout / ".npmrc").write_text(
            f"registry={origin.url}\n" + lines.format(host=origin.url.partition("//")[2])
        )
        assert fetch(checkout).returncode == 0
        assert {told for _, told in origin.asked} == {header}


def test_packages_that_are_not_at_the_usual_place_are_looked_up(checkout: Path) -> None:
    with serving_packages() as origin:
        for name, version in (("maplibre-gl", "1.2.3"), ("swagger-ui-dist", "4.5.6")):
            origin.held[f"/elsewhere/{name}"] = origin.held.pop(f"/{name}/-/{name}-{version}.tgz")
            described = {"dist": {"tarball": f"{origin.url}/elsewhere/{name}"}}
            origin.held[f"/{name}/{version}"] = json.dumps(described).encode()
        assert fetch(checkout, npm_config_registry=origin.url).returncode == 0


@pytest.mark.parametrize(
    "variable", ["npm_config_cafile", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", None]
)
def test_certificates_are_trusted_as_npm_is_told(checkout: Path, variable: str | None) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(checkout / "ca.pem"))
    with serving_packages(context) as origin:
        trusted = {variable: str(checkout / "ca.pem")} if variable else {}
        done = fetch(checkout, npm_config_registry=origin.url, **trusted)
    assert done.returncode == (0 if variable else 1)
    if not variable:
        assert "CERTIFICATE_VERIFY_FAILED" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_proxy_is_asked_as_npm_is_told(checkout: Path) -> None:
    with serving_packages() as proxy:
        held = dict(proxy.held)
        proxy.held = {f"http://packages.invalid{path}": content for path, content in held.items()}
        done = fetch(
            checkout, npm_config_registry="http://packages.invalid", npm_config_proxy=proxy.url
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "fault", ["changed", "another", "cut off", "no archive", "gone", "nobody there", "not known"]
)
def test_what_is_not_as_locked_changes_nothing_and_is_one_line(checkout: Path, fault: str) -> None:
    with serving_packages() as origin:
        assert fetch(checkout, npm_config_registry=origin.url).returncode == 0
        before = vendor(checkout)
        lock = checkout / "package-lock.json"
        lock.write_text(lock.read_text() + " ")  # wanted anew
        path = "/swagger-ui-dist/-/swagger-ui-dist-4.5.6.tgz"
        match fault:
            case "changed":
                origin.held[path] = packed("swagger-ui-dist", more=" and more")
            case "another":
                origin.held[path] = packed("maplibre-gl")
            case "cut off":
                origin.held[path] = origin.held[path][:-20]
            case "no archive":
                origin.held[path] = b"<html>"
            case "gone":
                del origin.held[path]
        url = {"nobody there": "http://127.0.0.1:1", "not known": ""}.get(fault, origin.url)
        done = fetch(checkout, npm_config_registry=url)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert vendor(checkout) == before


@pytest.fixture
def hanging_index() -> Iterator[str]:
    """A package index that takes connections and never answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        yield f"http://127.0.0.1:{server.server_port}/simple"


@contextmanager
def setting_up(checkout: Path, index: str) -> Iterator["subprocess.Popen[str]"]:
    """`scripts/setup run` in a process group of its own, which waits for the package index for
    ever.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "GEOSVC_"))
    }
    environment |= {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": index,
        "GEOSVC_NO_POSTGRESQL": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    process = subprocess.Popen(
        ["scripts/setup", "run"],
        cwd=checkout,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(SECONDS)
        assert process.stderr is not None
        process.stderr.close()


def read_until(words: str, process: "subprocess.Popen[str]") -> list[str]:
    """The lines that a process says, up to one with these words."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return said
    raise AssertionError(said)


@pytest.fixture
def bare(checkout: Path) -> Path:
    """The folder with what scripts/setup reads as well; nothing is set up."""
    for name in ("setup", "clients"):
        shutil.copy(ROOT / "scripts" / name, checkout / "scripts" / name)
    (checkout / "requirements.lock").write_text("aiohttp==3.14.1 --hash=sha256:00\n")
    (checkout / "pyproject.toml").write_text("")
    return checkout


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name
)
def test_setting_up_can_be_interrupted_and_goes_on_at_the_next_call(
    bare: Path, hanging_index: str, number: signal.Signals
) -> None:
    with setting_up(bare, hanging_index) as process:
        said = read_until("pip downloads", process)
        os.killpg(process.pid, number)  # as a terminal sends it, to all that it started
        begun = time.monotonic()
        said += process.communicate(timeout=SECONDS)[1].splitlines(keepends=True)
    assert time.monotonic() - begun < 20
    assert process.returncode == 128 + number
    assert said[-1] == "setup: stopped; the next call goes on from here\n"
    assert said[0] == "[1/2] Python packages: making .venv …\n"
    assert "Traceback" not in "".join(said)
    assert "Terminated" not in "".join(said)
    assert (bare / ".venv/unfinished").exists()  # so that the next call makes it anew


def test_a_second_set_up_waits_for_the_first_and_goes_on_when_that_ends(
    bare: Path, hanging_index: str
) -> None:
    waits = "setup: another set-up works in this folder; waiting for it\n"
    with setting_up(bare, hanging_index) as first:
        read_until("pip downloads", first)
        with setting_up(bare, hanging_index) as given_up:
            assert read_until("", given_up) == [waits]
            os.killpg(given_up.pid, signal.SIGINT)
            told = given_up.communicate(timeout=SECONDS)[1]
            assert (given_up.returncode, told) == (
                130,
                "setup: stopped; the next call goes on from here\n",
            )
        with setting_up(bare, hanging_index) as second:
            assert read_until("", second) == [waits]
            first.terminate()
            assert (
                read_until("pip downloads", second)[0] == "[1/2] Python packages: making .venv …\n"
            )


def test_the_lock_of_the_build_has_all_that_the_build_needs() -> None:
    pinned = re.findall(
        r"^([a-z0-9._-]+)==", (ROOT / "requirements-build.lock").read_text("utf-8"), re.MULTILINE
    )
    needed, waiting = set(), ["hatchling"]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        for line in requires(name) or ():
            wanted = Requirement(line)
            if (
                wanted.marker is None or wanted.marker.evaluate({"extra": ""})
            ) and wanted.name not in needed:
                waiting.append(wanted.name)
    assert needed == set(pinned)
