"""The story of a soak as an SVG with a background of its own: how long visitors waited, and the
memory of the service.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import pairwise
from math import ceil, log10

from tests.soak.report import MEBI, Bounds, p99
from tests.soak.watching import Phase, Story, quantile

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP, FOOT = 900, 200, 90, 20, 66, 92, 56
_BACK, _INK, _SOFT, _FAINT = "#ffffff", "#1f2328", "#59636e", "#d9dee4"
_FIRST, _SECOND, _BOUND = "#0969da", "#bc4c00", "#cf222e"
_SHADES = ("#ffffff", "#fbe9e7", "#ffffff")
_FONT = 'font-family="sans-serif" font-size="13"'

Place = Callable[[float], float]
Curve = Sequence[tuple[float, float]]


def draw(
    story: Story, phases: Sequence[Phase], hostile: tuple[float, float], bounds: Bounds
) -> str:
    """The picture.

    Args:
        phases: the quiet one first.
        hostile: when the strangers came and left, seconds from the begin.
    """
    end = story.samples[-1].at
    width, height = WIDTH - LEFT - RIGHT, TOP + 2 * PANEL + GAP + FOOT

    def x(seconds: float) -> float:
        return LEFT + width * min(max(seconds / end, 0.0), 1.0)

    step, unit, name = _ticks(end)
    times = [number * step for number in range(int(end / step) + 1)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" {_FONT}>',
        (
            "<title>A service among strangers: how long visitors wait, and the memory of the"
            " service</title>"
        ),
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="{_BACK}" stroke="{_FAINT}"/>',
        *_waiting(story, x, (phases[0], hostile, end), bounds),
        *_memory(story, x, (phases[0], hostile, end), bounds),
        *(_text(x(at), TOP + 2 * PANEL + GAP + 18, f"{at / unit:g}", "middle") for at in times),
        _text(LEFT + width / 2, height - 14, f"time, {name}", "middle", _SOFT),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _ticks(end: float) -> tuple[float, float, str]:
    """Seconds between two marks, seconds of the unit, and its name."""
    step = next((step for step in (1, 2, 5, 10, 20, 60, 120, 300, 600) if end / step <= 12), 3_600)
    return (step, 60, "minutes") if step >= 60 else (step, 1, "seconds")


_When = tuple[Phase, tuple[float, float], float]


def _waiting(story: Story, x: Place, when: _When, bounds: Bounds) -> list[str]:
    quiet, hostile, end = when
    window = max(end / 150, 2.0)
    windows = [number * window for number in range(max(int(end / window), 1))]
    costs = {
        begin: [visit.cost for visit in story.between(begin, begin + window)] for begin in windows
    }
    median, slowest = (
        [(x(begin + window / 2), quantile(found, share)) for begin, found in costs.items() if found]
        for share in (0.5, 0.99)
    )
    bound = bounds.times * p99(story, quiet)
    low = 1e-3
    decades = max(ceil(log10(max([seconds for _, seconds in slowest] + [bound, low]) / low)), 3)

    def y(seconds: float) -> float:
        return TOP + PANEL * (1 - min(max(log10(max(seconds, low) / low) / decades, 0.0), 1.0))

    marks = [(low * 10**number, f"{10**number:,}") for number in range(decades + 1)]
    legend = (
        (_FIRST, "", "median"),
        (_SECOND, "", "p99"),
        (
            _BOUND,
            "6 4",
            f"bound of p99: {bounds.times:g} times the quiet one, {bound * 1_000:.0f} ms",
        ),
    )
    title = f"Waiting time of visitors, {window:.0f} s at a time"
    return [
        *_panel(TOP, title, "milliseconds (log)", legend),
        *_shades(x, hostile, end, TOP),
        *_grid((y(seconds), label) for seconds, label in marks),
        _line([(LEFT, y(bound)), (WIDTH - RIGHT, y(bound))], _BOUND, "6 4"),
        _line([(at, y(seconds)) for at, seconds in median], _FIRST),
        _line([(at, y(seconds)) for at, seconds in slowest], _SECOND),
    ]


def _memory(story: Story, x: Place, when: _When, bounds: Bounds) -> list[str]:
    _, hostile, end = when
    top = TOP + PANEL + GAP
    step = 256 * MEBI
    most = ceil(max(story.family_bytes(), bounds.memory_bytes) * 1.05 / step) * step

    def y(size: float) -> float:
        return top + PANEL * (1 - size / most)

    marks = [
        (size, f"{size // MEBI:,}") for size in range(0, most + 1, step * ceil(most / step / 6))
    ]
    legend = (
        (_FIRST, "", "service"),
        (_SECOND, "", "with the children that read large bodies"),
        (_BOUND, "6 4", f"bound: {bounds.memory_bytes / MEBI:.4g} MB"),
    )
    return [
        *_panel(top, "Resident memory", "MB", legend),
        *_shades(x, hostile, end, top),
        *_grid((y(size), label) for size, label in marks),
        _line(
            [(LEFT, y(bounds.memory_bytes)), (WIDTH - RIGHT, y(bounds.memory_bytes))], _BOUND, "6 4"
        ),
        _line([(x(sample.at), y(sample.family_bytes)) for sample in story.samples], _SECOND),
        _line([(x(sample.at), y(sample.resident_bytes)) for sample in story.samples], _FIRST),
    ]


def _panel(top: float, title: str, unit: str, legend: Iterable[tuple[str, str, str]]) -> list[str]:
    """What stands above a panel, and the unit beside it."""
    middle = top + PANEL / 2
    parts = [
        f'<text x="{LEFT}" y="{top - 36}" fill="{_INK}" font-weight="bold">{escape(title)}</text>',
        f'<text transform="translate(22 {middle}) rotate(-90)" text-anchor="middle" fill="{_SOFT}">{escape(unit)}</text>',
    ]
    left = float(LEFT)
    for colour, dashes, words in legend:
        parts.append(_line([(left, top - 16), (left + 26, top - 16)], colour, dashes))
        parts.append(_text(left + 32, top - 12, words))
        left += 60 + 6.6 * len(words)
    return parts


def _shades(x: Place, hostile: tuple[float, float], end: float, top: float) -> list[str]:
    """The phases, each with its name."""
    parts = []
    borders = (0.0, *hostile, end)
    for (begin, until), shade, name in zip(
        pairwise(borders), _SHADES, ("quiet", "strangers", "after"), strict=True
    ):
        left, right = x(begin), x(until)
        parts.append(
            f'<rect x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{PANEL}" fill="{shade}"/>'
        )
        parts.append(_text((left + right) / 2, top + 16, name, "middle", _SOFT))
    return parts


def _grid(marks: Iterable[tuple[float, str]]) -> list[str]:
    parts = []
    for y, label in marks:
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_FAINT}"/>'
        )
        parts.append(_text(LEFT - 8, y + 4, label, "end"))
    return parts


def _line(points: Curve, colour: str, dashes: str = "") -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"{dashed}/>'


def _text(x: float, y: float, words: str, anchor: str = "start", colour: str = _INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
