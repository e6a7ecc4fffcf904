"""A page filtered by CQL2 against the same page with its condition written by hand in SQL, and what
reading and planning a filter costs the service.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter

from benchmarks.arena import Arena
from benchmarks.contest import compete
from benchmarks.data import COLLECTION
from benchmarks.literals import pgbench_script
from benchmarks.pgbench import Sessions, measure_pgbench
from benchmarks.results import Result, Target
from benchmarks.rounds import alone
from geosvc.cql2.caps import Caps
from geosvc.model.crs import CRS84
from geosvc.query.cql2.condition import filter_condition
from geosvc.requests.filters import FilterRules, parse_filter
from geosvc.sql.compose import Statement, compose

LIMIT = 100
TARGET = Target(1 / 1.1)
CACHED, FRESH = Target(0.1, at_most=True), Target(1.0, at_most=True)
_ROUNDS = 500
_POLYGON = "POLYGON((-5 42, 8 43, 24 55, 10 58, -5 51, -5 42))"
_WHERE = "WHERE true"


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter, and the condition that a person would write for it."""

    collection: str
    text: str
    by_hand: str


def _asked(box: str) -> tuple[Asked, ...]:
    return (
        Asked(
            "cities",
            "population > 20000 AND name LIKE 'B%'",
            "t.population > 20000 AND t.name LIKE 'B%'",
        ),
        Asked(
            "cities",
            f"population BETWEEN 20000 AND 400000 AND S_INTERSECTS(geom, {_POLYGON})",
            "t.population BETWEEN 20000 AND 400000 AND ST_Intersects(t.geom,"
            f" ST_GeomFromText('{_POLYGON}', 4326))",
        ),
        Asked(
            "cities",
            "NOT (country_code IN ('FR', 'DE')) AND population > 500000",
            "t.country_code NOT IN ('FR', 'DE') AND t.population > 500000",
        ),
        Asked(
            COLLECTION,
            f"levels >= 1 AND S_INTERSECTS(geom, BBOX({box}))",
            f"t.levels >= 1 AND ST_Intersects(t.geom, ST_MakeEnvelope({box}, 4326))",
        ),
    )


def _by_hand(plain: Statement, condition: str) -> Statement:
    """The page without a filter, with the condition of a person."""
    assert _WHERE in plain.text, plain.text
    return replace(plain, text=plain.text.replace(_WHERE, f"WHERE {condition}"))


def _milliseconds(work: Callable[[], object]) -> float:
    """Of the best of three rounds."""

    def once() -> float:
        before = perf_counter()
        for _ in range(_ROUNDS):
            work()
        return (perf_counter() - before) / _ROUNDS * 1_000

    return min(once() for _ in range(3))


def _planning(arena: Arena) -> list[Result]:
    collection = arena.planner.catalog["cities"]
    values: Mapping[str, str] = {"filter": _asked("")[1].text}

    def plan(rules: FilterRules) -> None:
        found = parse_filter(values, CRS84, rules)
        assert found is not None
        compose("filter", filter_condition(collection, found))

    lengths = iter(range(10_000, 10_000_000))
    what = "parse and plan a filter"
    cached = _milliseconds(lambda: plan(FilterRules()))
    # other caps are another key of the cache
    fresh = _milliseconds(lambda: plan(FilterRules(Caps(length=next(lengths)))))
    return [
        Result("filter", f"{what}, cached", alone(cached), "ms", target=CACHED),
        Result("filter", f"{what}, fresh", alone(fresh), "ms", target=FRESH),
    ]


def run(arena: Arena) -> list[Result]:
    """Statements a second of one client, and milliseconds."""
    sessions = Sessions(arena.url, arena.planner.session, 1)

    def measuring(scripts: list[str]) -> Callable[[float], float]:
        return lambda seconds: measure_pgbench(sessions, scripts, seconds, "prepared")

    results = _planning(arena)
    for asked in _asked(str(arena.boxes[0])):
        page = {"limit": str(LIMIT)}
        planned = [
            pgbench_script(arena.planner.items(asked.collection, {**page, "filter": asked.text}))
        ]
        by_hand = [
            pgbench_script(_by_hand(arena.planner.items(asked.collection, page), asked.by_hand))
        ]
        rates = compete(
            {
                "geosvc": measuring(planned),
                "hand": measuring(by_hand),
            },
            arena.effort,
        )
        what = asked.text if len(asked.text) < 60 else f"{asked.text[:57]}…"
        results.append(
            Result(
                "filter",
                what,
                rates["geosvc"],
                "/s",
                "the same in SQL by hand",
                rates["hand"],
                TARGET,
            )
        )
    return results
