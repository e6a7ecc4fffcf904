"""`python -m tests.soak`: a quiet while, the strangers, a quiet while again; then what became of
the visitors.

The exit status tells whether the bounds of docs/reliability.md were kept.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from time import sleep

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from geosvc.commands.demo import prepare_demo
from geosvc.devdb.cluster import Cluster
from geosvc.settings import load_settings
from tests.bombs import TABLE
from tests.databases import execute
from tests.holding import holds_of, longest_hold
from tests.processes import Running, serving
from tests.soak.machine import seconds_used
from tests.soak.picture import draw
from tests.soak.report import MEBI, Bounds, kept, table, verdict
from tests.soak.strangers import BOMBED
from tests.soak.watching import Phase, Reading, Story

EVERY_SECONDS = 0.5
SETTLE_SECONDS = 15.0  # while the strangers come, and after they left
# for the answers to who was measured last: a thousand clients that hang up at once are none of a
# phase
LAST_SECONDS = 3.0
PATIENCE_SECONDS = 60.0
BOUNDS = Bounds()
console = Console(stderr=True, highlight=False)


@contextmanager
def _database() -> Iterator[tuple[str, int]]:
    """A server with the sample data and the table of the bombs.

    Yields: its DSN, and its process.
    """
    with TemporaryDirectory(prefix="geosvc-soak-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        cluster = Cluster(folder / "cluster", settings={"max_connections": "60"})
        cluster.start()
        try:
            cluster.ensure_database("soak")
            url = cluster.url("soak")
            with redirect_stdout(sys.stderr):  # of which the table is not to be a part
                prepare_demo(load_settings(database_url=url), url)
            execute(url, TABLE)
            yield url, int((cluster.data / "postmaster.pid").read_text("utf-8").split("\n", 1)[0])
        finally:
            cluster.stop()


@contextmanager
def _program(name: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """One of the crowds, as a process of its own: who measures must not wait for those who
    disturb.
    """
    command = [sys.executable, "-m", f"tests.soak.{name}", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at the service, phase by phase.

    Args:
        others: the processes beside it, by name.
    """

    story: Story
    running: Running
    others: dict[str, int]
    progress: Progress

    def _read(self) -> Reading:
        used = seconds_used(self.running.process.pid, self.others)
        return Reading(self.story.now, used, holds_of(self.running.admin_url))

    def phase(self, name: str, seconds: float) -> Phase:
        """Looks for a while."""
        task = self.progress.add_task(name, total=seconds)
        settle, last = _settling(seconds), min(LAST_SECONDS, seconds / 10)

        def look(until: float) -> None:
            begin = self.story.now
            while (left := begin + until - self.story.now) > 0:
                self.story.look(self.running.process.pid)
                sleep(min(EVERY_SECONDS, left))
            self.progress.advance(task, until)

        look(settle)
        before = self._read()
        look(seconds - settle - last)
        after = self._read()
        look(last)
        used = {who: seconds - before.used[who] for who, seconds in after.used.items()}
        return Phase(name, before.at, after.at, used, longest_hold(after.holds, before.holds))


def _settling(seconds: float) -> float:
    return min(SETTLE_SECONDS, seconds / 3)


def soak(seconds: float, scale: float) -> tuple[Story, list[Phase], tuple[float, float]]:
    """Runs it.

    Args:
        seconds: that the strangers are there; a third of it is quiet before, and after.
        scale: of the crowd of strangers.
    Returns: what was seen, the phases, and when the strangers came and left.
    """
    with ExitStack() as stack:
        strangers = stack.enter_context(
            _program("strangers", str(scale), str(_settling(seconds) / 2))
        )
        url, database = stack.enter_context(_database())
        running = stack.enter_context(serving(url, writable=f"sketches,{BOMBED}"))
        _told(strangers)  # it has made its bombs, which takes a processor for seconds
        visitors = stack.enter_context(_program("visitors", running.url))
        story = Story()
        listener = Thread(target=story.listen, args=(visitors.stdout,), daemon=True)
        listener.start()
        assert story.visited.wait(PATIENCE_SECONDS), "no visitor was answered"
        progress = stack.enter_context(_progress())
        others = {"the database": database, "strangers": strangers.pid, "visitors": visitors.pid}
        watch = Watch(story, running, others, progress)
        phases = [watch.phase("quiet", seconds / 3)]
        came = story.now
        _tell(strangers, f"{running.url}\n")
        phases.append(watch.phase("strangers", seconds))
        story.met = json.loads(_ended(strangers))
        left = story.now
        phases.append(watch.phase("after", seconds / 3))
        _stop_asking(visitors, listener)
    return story, phases, (came, left)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:12}"), BarColumn(), TimeElapsedColumn(), console=console
    )


def _tell(program: "subprocess.Popen[str]", line: str) -> None:
    assert program.stdin is not None
    program.stdin.write(line)
    program.stdin.flush()


def _told(program: "subprocess.Popen[str]") -> str:
    assert program.stdout is not None
    return program.stdout.readline()


def _ended(program: "subprocess.Popen[str]") -> str:
    assert program.stdin is not None
    program.stdin.close()
    line = _told(program)
    program.wait(PATIENCE_SECONDS)
    return line


def _stop_asking(visitors: "subprocess.Popen[str]", listener: Thread) -> None:
    """Waits for the answers to what was asked: those that take longest must not be left out."""
    assert visitors.stdin is not None
    visitors.stdin.close()
    listener.join(PATIENCE_SECONDS)


@click.command()
@click.option(
    "--minutes", default=10.0, show_default=True, help="How long the strangers are there."
)
@click.option("--scale", default=1.0, show_default=True, help="How many they are.")
@click.option("--picture", type=click.Path(path_type=Path), help="Where to draw it, as an SVG.")
@click.option(
    "--times", default=BOUNDS.times, show_default=True, help="Bound of p99, of its quiet value."
)
@click.option(
    "--memory", default=BOUNDS.memory_bytes / MEBI, show_default=True, help="Bound of memory, MB."
)
def main(minutes: float, scale: float, picture: Path | None, times: float, memory: float) -> None:
    """A service under many kinds of strangers, beside people who want nothing bad."""
    bounds = Bounds(times, int(memory * MEBI))
    story, phases, hostile = soak(minutes * 60, scale)
    if picture is not None:
        picture.write_text(draw(story, phases, hostile, bounds), "utf-8")
    click.echo(f"{table(story, phases)}\n\n{verdict(story, phases, bounds)}")
    sys.exit(0 if kept(story, phases[0], phases[1], bounds) else 1)


if __name__ == "__main__":
    main()
