"""The figures of the plots, chosen from the JSON of a run. Without packages: the peers' environment
has matplotlib, and nothing of geosvc.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OURS = "geosvc"
_SIZES = {"10,000": 10_000, "150,000": 150_000, "ten million": 10_000_000}
_BOX = "box of 60 in {} points: {}"

Results = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One service's figures of a request.

    Attributes:
        rate: requests a second: the median, the least and the most.
        service: microseconds of the processor for a request, in the service.
        postgresql: likewise in PostgreSQL.
    """

    name: str
    rate: tuple[float, float, float]
    service: float
    postgresql: float

    @property
    def cost(self) -> float:
        """Of both."""
        return self.service + self.postgresql


@dataclass(frozen=True, slots=True)
class Growth:
    """What a box costs in a table of so many rows, in microseconds of the processor.

    Attributes:
        by_hand: SQL by hand in pgbench, PostgreSQL alone.
    """

    rows: int
    service: float
    postgresql: float
    by_hand: float


def bars_of_peers(results: Results) -> dict[str, list[Bar]]:
    """By request, geosvc first, the others by their rate."""
    found: dict[str, list[Bar]] = {}
    for result in results:
        if result["benchmark"] != "peers":
            continue
        bars = found.setdefault(result["what"], [])
        if not bars:
            bars.append(_bar(OURS, result["value"], result["cost"]))
        bars.append(_bar(result["peer"], result["peer_value"], result["peer_cost"]))
    return {request: _sorted(bars) for request, bars in found.items()}


def _sorted(bars: Sequence[Bar]) -> list[Bar]:
    return [bars[0], *sorted(bars[1:], key=lambda bar: -bar.rate[0])]


def _bar(name: str, rate: Mapping[str, float], cost: Mapping[str, Mapping[str, float]]) -> Bar:
    return Bar(
        name,
        (rate["median"], rate["least"], rate["most"]),
        cost["service"]["median"],
        cost["postgresql"]["median"],
    )


def growth_of_a_box(results: Results) -> list[Growth]:
    """By the number of rows."""
    by_name = {each["what"]: each for each in results if each["benchmark"] == "small"}
    found = []
    for size, rows in _SIZES.items():
        service = by_name.get(_BOX.format(size, "the service"))
        server = by_name.get(_BOX.format(size, "PostgreSQL"))
        if service is not None and server is not None:
            costs = (service["value"], server["value"], server["peer_value"])
            found.append(Growth(rows, *(each["median"] for each in costs)))
    return found
