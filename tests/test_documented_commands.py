"""Every command of README.md and docs/, run as it stands in an installation as `make run` makes it.

The installation is a copy of what git tracks, with a .venv that has the packages of
requirements.lock and no other, in which `make run` then writes the command and serves the demo.
Only the ports and the one example host are replaced.
"""

import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distribution
from pathlib import Path

import click
import pytest

from geosvc.cli import main
from geosvc.devdb.cluster import Cluster
from tests.conftest import execute

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
SECONDS = 90
READER = "postgresql://reader@db.example.org/gis"
# what cannot be run in a test, each with the reason; every other command is run
NOT_RUN = {
    "GEOSVC_NO_POSTGRESQL=1 make setup": "make run below does the same, and more",
    "make run": "it serves while the other commands are run",
    "make build": "it fetches hatchling from a package index",
    "pip install": "it fetches packages from a package index",
    "geosvc load harbours.gpkg": "it needs pyogrio, which the line before installs",
    "GEOSVC_OTEL=true": "it needs packages that the lines before install, and a collector",
    "docker compose up": "it needs a container engine",
}
POINT = {"type": "Point", "coordinates": [24.9, 60.2]}
FEATURES = {
    "type": "FeatureCollection",
    "features": [{"type": "Feature", "geometry": POINT, "properties": {"n": 1}}],
}
FILES = {  # what the commands read, as a reader would have it
    "january.geojson": json.dumps(FEATURES).encode(),
    "february.geojson": json.dumps(FEATURES).encode(),
    "march.geojson.gz": gzip.compress(json.dumps(FEATURES).encode()),
    "places.csv": b"name,lon,lat\nHelsinki,24.94,60.17\n",
}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:geosvc|make) [a-z][^`]*)`")


@dataclass(frozen=True)
class Command:
    """A command, and where it stands."""

    page: str
    line: int
    text: str

    @property
    def reason_not_to_run(self) -> str | None:
        """Why it is not run."""
        return next(
            (reason for start, reason in NOT_RUN.items() if self.text.startswith(start)), None
        )


def commands_of(page: str) -> Iterator[Command]:
    """The commands of the blocks that say they hold some; lines that go on, by a backslash or in
    quotes, are one.
    """
    text = (ROOT / page).read_text("utf-8")
    for block in _BLOCK.finditer(text):
        if block[1] != "sh":
            continue
        line, gathered = text.count("\n", 0, block.start()) + 2, ""
        for number, each in enumerate(block[2].splitlines(), line):
            gathered = f"{gathered}\n{each}" if gathered else each
            open_quote = gathered.count("'") % 2 or gathered.count('"') % 2
            if not gathered.endswith("\\") and not open_quote and gathered.strip():
                yield Command(page, number, gathered)
                gathered = ""
        assert not gathered, f"{page}:{line}: a command that does not end"


COMMANDS = [command for page in PAGES for command in commands_of(page)]
RUN = [command for command in COMMANDS if command.reason_not_to_run is None]


def test_every_block_says_what_it_holds() -> None:
    unlabelled = []
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        unlabelled += [
            f"{page}:{text.count(chr(10), 0, each.start()) + 1}"
            for each in _BLOCK.finditer(text)
            if not each[1]
        ]
        unlabelled += [
            f"{page}: {line}"
            for line in text.splitlines()
            if re.match(r"    (geosvc|make|curl|pip|psql) ", line)
        ]
    assert not unlabelled, "say sh, text, json, …: what is sh is run"


def test_what_is_not_run_is_still_there() -> None:
    assert not [
        start for start in NOT_RUN if not any(each.text.startswith(start) for each in COMMANDS)
    ]


def test_the_readme_begins_with_serving_ones_own_database() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "Serve your database"
    assert headings[1].startswith("The demo")
    assert headings[2] == "What it does"
    first = _BLOCK.search(text)
    assert first is not None
    assert f"geosvc serve {READER}" in first[2]
    installed = [
        each.text
        for each in COMMANDS
        if each.text.startswith("pip install") and "geosvc" in each.text
    ]
    assert installed == ["pip install dist/geosvc-*.whl"], "it is on no package index"


def test_the_licence_is_the_one_that_the_packages_tell() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    licence = (ROOT / "LICENSE").read_text("utf-8")
    assert told["project"]["license"] == licence.split()[0] == "MIT"
    assert told["project"]["license-files"] == ["LICENSE"]
    assert "/LICENSE" in told["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert "WITHOUT WARRANTY OF ANY KIND" in licence
    assert "The licence is [MIT](LICENSE)" in (ROOT / "README.md").read_text("utf-8")


def inline_commands() -> Iterator[tuple[str, str]]:
    """(page, command) of what stands in a sentence or a table."""
    for page in PAGES:
        for found in _INLINE.finditer(_BLOCK.sub("", (ROOT / page).read_text("utf-8"))):
            yield page, found[1]


def test_every_command_in_a_sentence_names_what_there_is() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    wrong = []
    for page, text in inline_commands():
        program, name, *rest = text.replace("\\|", " ").split()
        if program == "make":
            wrong += [f"{page}: {text}"] if name not in targets else []
            continue
        command = main.commands.get(name)
        known = (
            {option for each in command.params for option in each.opts}
            if isinstance(command, click.Command)
            else set()
        )
        wanted = {
            re.sub(r"[^\w-].*", "", each.strip("[]"))
            for each in rest
            if each.strip("[]").startswith("--")
        }
        if command is None or wanted - known - {"--help"}:
            wrong.append(f"{page}: {text}")
    assert not wrong


def locked() -> list[Distribution]:
    """The packages of requirements.lock, as they are installed here."""
    text = (ROOT / "requirements.lock").read_text("utf-8")
    found = []
    for name, marker in re.findall(
        r"^([A-Za-z0-9._-]+)==[^ ;\\]+(?: ; ([^\\]+))?", text, re.MULTILINE
    ):
        if marker and "python" in marker and sys.version_info >= (3, 14):
            continue
        if not marker or "win32" not in marker:
            found.append(distribution(name))
    return found


def install_packages(folder: Path) -> None:
    """A .venv with links to the locked packages, and what tells the set-up that they are there."""
    venv = folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next((venv / "lib").glob("python3*")) / "site-packages"
    for each in locked():
        tops = {
            file.parts[0] for file in each.files or () if file.parts[0] not in ("..", "__pycache__")
        }
        for top in tops:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(each.locate_file(top))).resolve())
    sums = "cat requirements.lock requirements.lock pyproject.toml scripts/setup | cksum >.venv/installed-run"
    subprocess.run(["bash", "-c", sums], cwd=folder, check=True)


@dataclass
class Installation:
    """A checkout with the demo being served."""

    folder: Path
    environment: dict[str, str]
    ports: tuple[int, int]
    reader_url: str
    set_before: list[str] = field(default_factory=list)  # variables, for the commands behind

    def fill_in(self, text: str) -> str:
        """The ports of this test, and the database of the example host."""
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{self.ports[0]}")
        return text.replace("127.0.0.1:8081", f"127.0.0.1:{self.ports[1]}").replace(
            READER, f"'{self.reader_url}'"
        )

    def log(self) -> str:
        """What `make run` has said."""
        return (self.folder / "geosvc.log").read_text("utf-8", "replace")


def free_ports() -> tuple[int, int]:
    """Two that nobody listens on."""
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as one,
        closing(socket.create_server(("127.0.0.1", 0))) as two,
    ):
        return one.getsockname()[1], two.getsockname()[1]


def copy_checkout(folder: Path) -> None:
    """What git tracks, as it is now, and the libraries of the pages."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "benchmarks/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "geosvc/static/vendor", folder / "geosvc/static/vendor")


@pytest.fixture(scope="module")
def installation(server_url: str, cluster_folder: Path) -> Iterator[Installation]:
    if "GEOSVC_TEST_DATABASE_URL" in os.environ:
        pytest.skip("the demo needs a private cluster")
    folder = cluster_folder / "a checkout"
    copy_checkout(folder)
    install_packages(folder)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "home").mkdir()
    (folder / "home/.curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    execute(server_url, "CREATE DATABASE documented")
    reader_url = server_url.replace("/postgres?", "/documented?")
    execute(
        reader_url,
        "CREATE EXTENSION postgis; CREATE TABLE places (id int PRIMARY KEY, geom geometry(Point,"
        " 4326))",
    )
    ports = free_ports()
    # without what a make around the tests tells the makes below it: they would print which folder
    # they enter
    foreign = ("GEOSVC_", "VIRTUAL_ENV", "MAKE", "MFLAGS")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(foreign)
    }
    path = ":".join(each for each in environment["PATH"].split(":") if ".venv" not in each)
    environment |= {
        "PATH": path,
        "HOME": str(folder / "home"),
        "GEOSVC_DATA_DIR": str(cluster_folder / "documented"),
    }
    served = {**environment, "GEOSVC_PORT": str(ports[0]), "GEOSVC_ADMIN_PORT": str(ports[1])}
    with (folder / "geosvc.log").open("wb") as log:
        process = subprocess.Popen(
            ["make", "run"], cwd=folder, env=served, stdout=log, stderr=log, start_new_session=True
        )
        made = Installation(folder, environment, ports, reader_url)
        wait_for(lambda: "server_started" in made.log(), process, made.log)
        yield made
        os.killpg(process.pid, signal.SIGINT)
        process.wait(SECONDS)
    assert "Traceback" not in made.log()
    assert not Cluster(cluster_folder / "documented").is_running()
    execute(server_url, "DROP DATABASE documented WITH (FORCE)")


def wait_for(
    condition: Callable[[], bool], process: "subprocess.Popen[bytes]", said: Callable[[], str]
) -> None:
    """Looks until it is so; fails with what was said when the process ends before."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, said()
        assert time.monotonic() < until, said()
        time.sleep(0.05)


def run_until(text: str, command: str, installation: Installation) -> str:
    """Runs what does not end by itself until it says a text."""
    output = installation.folder / "output"

    def said() -> str:
        return output.read_text("utf-8", "replace")

    with output.open("wb") as target:
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=installation.folder,
            env=installation.environment,
            stdout=target,
            stderr=target,
            start_new_session=True,
        )
        try:
            wait_for(
                lambda: text in output.read_text("utf-8", "replace"),
                process,
                lambda: output.read_text("utf-8", "replace"),
            )
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(SECONDS)
    return said()


def run(text: str, installation: Installation, folder: Path | None = None) -> None:
    """Runs what ends by itself; it must succeed without a stack."""
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=folder or installation.folder,
        env=installation.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", RUN, ids=lambda each: f"{each.page}:{each.line}")
def test_every_command_runs_as_it_stands(installation: Installation, command: Command) -> None:
    given = installation.fill_in(command.text)
    text = "\n".join([*installation.set_before, given])
    if re.match(r"export |\w+=\$\(", command.text):
        installation.set_before.append(given)
        run(text, installation)
    elif "curl -N" in command.text:
        assert " 200 " in run_until(": ", f"{text} -i", installation)
    elif "geosvc serve" in command.text:
        run_until("server_started", f"{text} --port 0 --admin-port 0", installation)
    else:
        run(text, installation)


def test_what_make_run_prints_runs_as_it_stands(installation: Installation) -> None:
    printed = re.findall(r"^  ((?:psql|curl) .*)$", installation.log(), re.MULTILINE)
    urls = re.findall(r"^  (http://.*)$", installation.log(), re.MULTILINE)
    assert len(printed) == 3
    assert len(urls) >= 4
    for text in (*printed, *(f"curl -g '{each}'" for each in urls)):
        if "curl -N" in text:
            assert " 200 " in run_until(": ", f"{text} -i", installation)
        else:
            run(text, installation)


@pytest.mark.parametrize("arguments", ["--version", "check --help", "dev-db status"])
def test_the_command_works_from_any_folder_and_by_a_link(
    installation: Installation, tmp_path: Path, arguments: str
) -> None:
    (tmp_path / "asyncpg.py").write_text(
        "raise RuntimeError('what lies in the folder is not imported')"
    )
    link = tmp_path / "geosvc-link"
    link.symlink_to(installation.folder / ".venv/bin/geosvc")
    for program in (installation.folder / ".venv/bin/geosvc", link):
        run(f"'{program}' {arguments}", installation, tmp_path)


def test_the_second_set_up_has_nothing_to_do_and_says_nothing(installation: Installation) -> None:
    run('said=$(make setup 2>&1); echo "$said"; test -z "$said"', installation)
