"""Whether ratios are worse than those that benchmarks/kept.json has."""

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.results import Result

KEPT_FILE = Path(__file__).with_name("kept.json")
_LEAST_ALLOWED = 0.15  # what two runs on a quiet machine differ by
_MOST_ALLOWED = 0.5  # a run with a wider spread proves nothing


class Kept(msgspec.Struct, frozen=True):
    """The ratio of a result, as it was kept.

    Attributes:
        allowed: the share of the ratio by which it may be worse: smaller for a rate, larger for a
            time or a cost.
    """

    benchmark: str
    what: str
    peer: str
    ratio: float
    allowed: float
    is_rate: bool

    @property
    def name(self) -> tuple[str, str, str]:
        """What identifies it."""
        return self.benchmark, self.what, self.peer

    @property
    def bound(self) -> float:
        """The worst ratio that passes."""
        return self.ratio * (1 - self.allowed if self.is_rate else 1 + self.allowed)

    def passes(self, ratio: float) -> bool:
        """Whether a ratio is good enough."""
        return ratio >= self.bound if self.is_rate else ratio <= self.bound


def keep_ratios(results: Sequence[Result]) -> list[Kept]:
    """The medians of all results that have ratios; a wide spread allows as much."""
    return list(filter(None, map(_keep, results)))


def _keep(result: Result) -> Kept | None:
    ratio = result.ratio
    if ratio is None or result.peer is None:
        return None
    spread = math.ceil((ratio.most - ratio.least) / ratio.median * 100) / 100
    return Kept(
        result.benchmark,
        result.what,
        result.peer,
        float(f"{ratio.median:.3g}"),
        min(max(_LEAST_ALLOWED, spread), _MOST_ALLOWED),
        result.is_rate,
    )


def merge(old: Sequence[Kept], new: Sequence[Kept]) -> list[Kept]:
    """The new ratios, and the old ones of benchmarks that the new ones have nothing of."""
    measured = {each.benchmark for each in new}
    return [*(each for each in old if each.benchmark not in measured), *new]


def find_falls(
    kept: Sequence[Kept], results: Sequence[Result], wanted: Collection[str]
) -> Iterator[str]:
    """A line for each ratio that is worse than allowed.

    Args:
        wanted: benchmarks of which every kept ratio must have been measured.
    """
    measured = {(each.benchmark, each.what, each.peer): each.ratio for each in results}
    for each in kept:
        ratio = measured.get(each.name)
        title = f"{each.benchmark}: {each.what}, against {each.peer}"
        if ratio is None:
            if each.benchmark in wanted:
                yield f"{title}: was not measured"
        elif not each.passes(ratio.median):
            sign = "≥" if each.is_rate else "≤"
            bound = f"{sign} {each.bound:.3g} passes"
            yield f"{title}: {ratio.median:.3g}, was {each.ratio:.3g}, {bound}"


def read_kept(path: Path = KEPT_FILE) -> list[Kept]:
    """The kept ratios; none before they were kept first."""
    if not path.exists():
        return []
    return msgspec.json.decode(path.read_bytes(), type=list[Kept])


def write_kept(kept: Sequence[Kept], path: Path = KEPT_FILE) -> None:
    """Writes them, one on a line, so that a change shows what became better or worse."""
    lines = ",\n".join(msgspec.json.encode(each).decode() for each in kept)
    path.write_text(f"[\n{lines}\n]\n", "utf-8")
