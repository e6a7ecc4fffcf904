"""Draws the plots of docs/benchmarks.md: `python -m benchmarks.plots JSON FOLDER`, in .venv-peers,
which has matplotlib.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt  # type: ignore[import-not-found]  # in .venv-peers

from benchmarks.series import OURS, Bar, Growth, bars_of_peers, growth_of_a_box

_INK, _PALE, _OURS, _THEIRS, _SERVER = "#222222", "#dddddd", "#0b6e4f", "#8aa0b4", "#d98324"
_ROOM = 1.35  # the axis beyond the longest bar, for its figures
_FAR, _CUT = 5, 2.5  # lengths of the second longest bar: what is cut, and where the axis ends then
_WIDTH_INCHES = 6.4  # a phone shows it at half of its 960 pixels
_STYLE = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "savefig.dpi": 150,
}


def main(source: Path, folder: Path) -> None:
    """Draws what the run has measured."""
    results = json.loads(source.read_text("utf-8"))["results"]
    plt.rcParams.update(_STYLE)
    peers, growth = bars_of_peers(results), growth_of_a_box(results)
    if peers:
        _save(draw_rates(peers), folder / "peers-rate.png")
        _save(draw_costs(peers), folder / "peers-processor.png")
    if len(growth) > 1:
        _save(draw_growth(growth), folder / "box-growth.png")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _panels(peers: Mapping[str, Sequence[Bar]], title: str) -> tuple[Any, Any]:
    """A panel for each request, one below the other, with axes of their own that begin at 0."""
    bars = max(map(len, peers.values()))
    figure, axes = plt.subplots(
        len(peers),
        figsize=(_WIDTH_INCHES, len(peers) * (0.36 * bars + 0.75) + 0.9),
        layout="constrained",
        squeeze=False,
    )
    figure.suptitle(title, fontsize=14, x=0.02, ha="left")
    for axis, (request, shown) in zip(axes[:, 0], peers.items(), strict=True):
        axis.set_title(request, fontsize=13, loc="left")
        axis.set_yticks(range(len(shown)), [bar.name for bar in shown])
        axis.invert_yaxis()
        axis.grid(axis="x", color=_PALE)
        axis.set_axisbelow(True)
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.locator_params(axis="x", nbins=5)
    return figure, axes[:, 0]


def draw_rates(peers: Mapping[str, Sequence[Bar]]) -> Any:
    """Requests a second, with a line from the least round to the most."""
    figure, axes = _panels(peers, "Requests a second, two processes each")
    for axis, shown in zip(axes, peers.values(), strict=True):
        for place, bar in enumerate(shown):
            median, least, most = bar.rate
            colour = _OURS if bar.name == OURS else _THEIRS
            axis.barh(place, median, color=colour, height=0.7)
            axis.plot([least, most], [place, place], color=_INK, linewidth=1.5)
            axis.annotate(
                f"{median:,.0f}", (most, place), (5, 0), textcoords="offset points", va="center"
            )
        axis.set_xlim(0, 1.15 * max(bar.rate[2] for bar in shown))
    return figure


def draw_costs(peers: Mapping[str, Sequence[Bar]]) -> Any:
    """What a request costs the processor: the service, and PostgreSQL behind it. A bar that is far
    longer than all others ends at the end of the axis, with an arrow and its figures.
    """
    figure, axes = _panels(peers, "Processor time of a request, microseconds")
    for axis, shown in zip(axes, peers.values(), strict=True):
        longest, second = sorted((bar.cost for bar in shown), reverse=True)[:2]
        end = _CUT * second if longest > _FAR * second else _ROOM * longest
        for place, bar in enumerate(shown):
            colour = _OURS if bar.name == OURS else _THEIRS
            axis.barh(place, bar.service, color=colour, height=0.7)
            axis.barh(place, bar.postgresql, left=bar.service, color=_SERVER, height=0.7)
            _write_cost(axis, bar, place, end)
        axis.set_xlim(0, end)
    handles = [plt.Rectangle((0, 0), 1, 1, color=each) for each in (_OURS, _THEIRS, _SERVER)]
    labels = ["geosvc", "the other service", "PostgreSQL"]
    figure.legend(handles, labels, loc="outside lower left", ncols=3, frameon=False)
    return figure


def _write_cost(axis: Any, bar: Bar, place: int, end: float) -> None:
    text = f"{bar.service:,.0f} + {bar.postgresql:,.0f}"
    if bar.cost < end:
        axis.annotate(text, (bar.cost, place), (5, 0), textcoords="offset points", va="center")
    else:
        axis.annotate(
            f"{text} →", (end, place), (-5, 0), textcoords="offset points", va="center", ha="right"
        )


def draw_growth(growth: Sequence[Growth]) -> Any:
    """What a box of 60 points costs, by the rows of its table."""
    figure, axis = plt.subplots(figsize=(_WIDTH_INCHES, 4.4), layout="constrained")
    rows = [each.rows for each in growth]
    lines = {
        "geosvc and PostgreSQL": ([each.service + each.postgresql for each in growth], _INK),
        "geosvc": ([each.service for each in growth], _OURS),
        "PostgreSQL for geosvc": ([each.postgresql for each in growth], _SERVER),
        "PostgreSQL, SQL by hand": ([each.by_hand for each in growth], _THEIRS),
    }
    for label, (values, colour) in lines.items():
        axis.plot(rows, values, marker="o", color=colour, label=label, linewidth=2)
    axis.set_xscale("log")
    axis.set_xticks(rows, [f"{each:,}" for each in rows])
    axis.minorticks_off()
    axis.set_ylim(0, 1.4 * max(map(max, (values for values, _ in lines.values()))))
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.grid(color=_PALE)
    axis.set_xlabel("rows of the table (logarithmic)")
    axis.legend(ncols=2, loc="upper left", frameon=False, fontsize=11)
    axis.set_title("A box of 60 points: processor time, microseconds", fontsize=14, loc="left")
    return figure


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
