"""What a soak has found, as a table for docs/reliability.md, and whether the bounds were kept."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.soak.machine import REST
from tests.soak.visitors import RATE
from tests.soak.watching import Phase, Story, quantile

MEBI = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What strangers may do to a service.

    Attributes:
        times: the slowest of a hundred answers to visitors, of its quiet value.
        memory_bytes: of the service. Its children have limits of their own.
    """

    times: float = 5.0
    memory_bytes: int = 768 * MEBI


def p99(story: Story, phase: Phase) -> float:
    """Seconds that the slowest of a hundred visitors waited."""
    return quantile((visit.cost for visit in story.between(phase.begin, phase.end)), 0.99)


def times_of(story: Story, quiet: Phase, loud: Phase) -> float:
    """How many times as long they wait among strangers."""
    return p99(story, loud) / max(p99(story, quiet), 1e-6)


def kept(story: Story, quiet: Phase, loud: Phase, bounds: Bounds) -> bool:
    """Whether the bounds were kept."""
    return times_of(story, quiet, loud) < bounds.times and story.peak_bytes() < bounds.memory_bytes


def _column(story: Story, phase: Phase) -> list[str]:
    visits, samples = story.between(phase.begin, phase.end), story.samples_of(phase)
    costs = [visit.cost for visit in visits]
    late = quantile((visit.late for visit in visits), 0.99)
    return [
        phase.name,
        f"{phase.end - phase.begin:.0f} s",
        f"{len(visits):,}, {sum(visit.failed for visit in visits)}",
        *(f"{quantile(costs, share) * 1_000:.1f} ms" for share in (0.5, 0.95, 0.99)),
        f"{late * 1_000:.1f} ms",
        f"{phase.hold * 1_000:g} ms",
        f"{max(sample.resident_bytes for sample in samples) / MEBI:.0f} MB",
        f"{max(sample.family_bytes for sample in samples) / MEBI:.0f} MB",
        f"{max(sample.files for sample in samples):,}",
        *(f"{seconds / (phase.end - phase.begin):.2f}" for seconds in phase.used.values()),
    ]


def table(story: Story, phases: Sequence[Phase]) -> str:
    """A column for each phase, in Markdown."""
    names = [
        "",
        "measured for",
        f"requests of visitors, {RATE:g} a second; failed",
        "median",
        "p95",
        "p99",
        "of that, the client's own lateness, p99",
        "longest hold of the event loop, up to",
        "memory of the service, at most",
        "with its children, at most",
        "open files, at most",
        *(f"processors: {name}" for name in phases[0].used),
    ]
    columns = [_column(story, phase) for phase in phases]
    rows = [f"| {' | '.join(cells)} |" for cells in zip(names, *columns, strict=True)]
    return "\n".join([rows[0], "|---" * (len(columns) + 1) + "|", *rows[1:]])


def verdict(story: Story, phases: Sequence[Phase], bounds: Bounds) -> str:
    """The bounds, and what was found; what else ran on the machine makes the numbers worth less."""
    quiet, loud, *_ = phases
    met = ", ".join(f"{name} {number:,}" for name, number in sorted(story.met.items()))
    lines = [
        (
            f"p99 of visitors among strangers: {times_of(story, quiet, loud):.1f} times"
            " the quiet one"
            f" (bound {bounds.times:g})."
        ),
        (
            f"Memory of the service: {story.peak_bytes() / MEBI:.0f} MB at the most (bound"
            f" {bounds.memory_bytes / MEBI:.4g} MB)."
        ),
        f"What the strangers met with: {met}.",
    ]
    failed = Counter(f"{visit.what} {visit.status}" for visit in story.visits if visit.failed)
    if failed:
        lines.append(
            f"Failed: {', '.join(f'{name} {number:,}' for name, number in sorted(failed.items()))}."
        )
    foreign = max(phase.used[REST] / (phase.end - phase.begin) for phase in phases)
    if foreign > os.cpu_count() * 0.1:  # type: ignore[operator]
        lines.append(
            f"Other programs used {foreign:.1f} of {os.cpu_count()} processors: measure again on a"
            " quiet machine."
        )
    return "\n".join(lines)
