"""The soak itself, for seconds and with few strangers: it measures, tells, draws, and fails where a
bound is crossed.
"""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.soak.report import MEBI, Bounds, kept
from tests.soak.watching import Phase, Sample, Story, Visit

SVG = "{http://www.w3.org/2000/svg}"
COMMAND = [sys.executable, "-m", "tests.soak", "--minutes", "0.03", "--scale", "0.02"]
QUIET, LOUD = (
    Phase(name, begin, begin + 100, {}, 0.0)
    for name, begin in (("quiet", 0.0), ("strangers", 100.0))
)


def row(text: str, name: str) -> list[str]:
    """The cells of a row of the table, without its name."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_a_short_soak_tells_its_numbers_draws_them_and_fails_where_a_bound_is_crossed(
    tmp_path: Path,
) -> None:
    picture = tmp_path / "soak.svg"
    command = [*COMMAND, "--picture", str(picture), "--times", "1000000", "--memory", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 1, ended.stderr
    told = ended.stdout
    assert told.startswith("|  | quiet | strangers | after |\n|---|---|---|---|\n")
    for cell in row(told, "requests of visitors"):
        requests, failed = map(int, cell.split(", "))
        assert requests > 5
        assert failed == 0, told
    for name in ("median", "p95", "p99", "longest hold of the event loop"):
        assert all(re.fullmatch(r"[0-9.]+ ms", cell) for cell in row(told, name)), told
    assert all(
        20 < int(cell.removesuffix(" MB")) < 768 for cell in row(told, "memory of the service")
    )
    assert re.search(r"Memory of the service: \d+ MB at the most \(bound 1 MB\)", told)
    # streams that are open, not refused again and again
    assert re.search(r"\bfollows 200 \d+", told), told
    assert re.search(r"\bbombs sent \d+", told), told
    words = " / ".join(text.text or "" for text in ET.parse(picture).getroot().iter(f"{SVG}text"))
    for expected in (
        "milliseconds",
        "MB",
        "time, seconds",
        "median",
        "p99",
        "bound of p99: ",
        "bound: 1 MB",
        "strangers",
    ):
        assert expected in words
    assert "nan" not in picture.read_text("utf-8")


@pytest.mark.parametrize(
    ("seconds", "status", "memory", "expected"),
    [
        (0.01, 200, 700, True),
        (0.06, 200, 700, False),
        (0.01, 503, 700, False),
        (0.01, 200, 800, False),
    ],
)
def test_the_bounds_are_those_of_p99_and_memory_and_a_quick_refusal_is_no_answer(
    seconds: float, status: int, memory: int, expected: bool
) -> None:
    story = Story()
    story.visits = [Visit(float(at), "item", 200, 0.0, 0.01) for at in range(100)]
    story.visits += [Visit(100.0 + at, "item", 200, 0.0, 0.01) for at in range(98)]
    story.visits += [Visit(198.0 + at, "item", status, 0.0, seconds) for at in range(2)]
    story.samples = [Sample(1.0, 1, memory * MEBI, 1, 1)]
    assert kept(story, QUIET, LOUD, Bounds()) is expected
