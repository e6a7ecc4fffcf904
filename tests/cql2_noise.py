"""Filters that are nearly right: tokens lost, doubled, swapped, put in.

`python -m tests.cql2_noise 1000000` reads many.
"""

import json
import random
import re
import sys
import time
from collections.abc import Iterator

from geosvc.cql2.json import parse_json
from geosvc.cql2.text import parse_text
from geosvc.errors import InvalidFilter
from geosvc.model.crs import CRS84
from geosvc.requests.filter_geometries import FilterGeometryReader
from geosvc.requests.filters import FilterRules
from tests.cql2_writing import CAPS, KeptGeometries, to_json

SEEDS = (
    "a = 1 OR b <> 2 AND NOT c >= 3.5e-2",
    "a LIKE 'x\\%_%' AND b NOT LIKE CASEI('ä''')",
    "a BETWEEN -1 AND 2 * (b + 3) ^ 2 AND c NOT IN ('x', 'y', ACCENTI(d))",
    "a IS NULL OR b IS NOT NULL",
    "S_INTERSECTS(geom, POLYGON((0 0, 10 0, 10 10, 0 0), (1 1, 2 1, 2 2, 1 1)))",
    "S_WITHIN(geom, BBOX(170, -10, -170, 10)) AND NOT S_TOUCHES(geom, POINT Z (1 2 3))",
    (
        "S_DISJOINT(geom, GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1), MULTIPOINT((1 2), (3"
        " 4))))"
    ),
    (
        "S_CROSSES(geom, MULTILINESTRING((0 0, 1 1), (2 2, 3 3))) OR S_EQUALS(geom,"
        " MULTIPOLYGON(((0"
        " 0, 1 0, 1 1, 0 0))))"
    ),
    "T_AFTER(d, DATE('2024-02-29')) AND ts < TIMESTAMP('2024-02-29T12:00:00Z')",
    "T_DURING(INTERVAL(a, '..'), INTERVAL('2024-01-01', '2024-12-31T00:00:00Z'))",
    "A_CONTAINS(tags, ('a', 'b')) AND A_OVERLAPS(scores, (1, 2.5, -3)) AND A_EQUALS(tags, ())",
    'f("a ""b""", g(), 1) = TRUE AND (a div 2 % 3 = 1 OR flag)',
)
_WORDS = (
    *re.split(" ", "AND OR NOT LIKE BETWEEN IN IS NULL DIV TRUE FALSE CASEI ACCENTI DATE TIMESTAMP INTERVAL BBOX POINT Z"),
    *re.split(" ", "( ) , = <> < <= > >= + - * / % ^ ' \" \\ .. . : ; 0 1 -1 1e308 1e-999 999999999999999999999 {} %s $1"),
    *("'x'", '"x"', "'2024-02-30'", "'..'", "S_INTERSECTS(", "T_AFTER(", "f(", "\0", "\t", "\u0301", "🌍", "\ud800"),
)  # fmt: skip
_PARTS = re.compile(r"\s+|\w+|'[^']*'|.", re.DOTALL)


def mutated(text: str, noise: random.Random) -> str:
    """The text with some of its parts lost, doubled, swapped, or with others among them."""
    parts = _PARTS.findall(text)
    for _ in range(noise.randint(1, 4)):
        place, other = noise.randrange(len(parts)), noise.randrange(len(parts))
        match noise.randrange(6):
            case 0:
                parts[place] = ""
            case 1:
                parts[place] *= 2
            case 2:
                parts[place], parts[other] = parts[other], parts[place]
            case 3:
                parts.insert(place, noise.choice(_WORDS))
            case 4:
                parts[place:place] = parts[min(place, other) : max(place, other)][:40]
            case _:
                characters = list(parts[place]) or [""]
                characters[noise.randrange(len(characters))] = chr(
                    noise.choice((noise.randrange(128), noise.randrange(0x110000)))
                )
                parts[place] = "".join(characters)
    return "".join(parts)


def noises(seeds: tuple[str, ...], number: int, noise: random.Random) -> Iterator[str]:
    """Mutations of texts."""
    for _ in range(number):
        yield mutated(noise.choice(seeds), noise)


def in_json(seeds: tuple[str, ...]) -> tuple[str, ...]:
    """The same filters in JSON."""
    return tuple(json.dumps(to_json(parse_text(seed, CAPS, KeptGeometries()))) for seed in seeds)


def read_all(seeds: tuple[str, ...], number: int, seed: int) -> int:
    """Reads mutations in both languages; how many of them were filters.

    Raises whatever is no InvalidFilter.
    """
    noise, reader, read = (
        random.Random(seed),
        FilterGeometryReader(CRS84, FilterRules().max_vertices),
        0,
    )
    for text in noises(seeds, number // 2, noise):
        try:
            parse_text(text, CAPS, reader)
            read += 1
        except InvalidFilter as error:
            assert error.position is not None, text
        except Exception as error:
            raise AssertionError(text) from error
    for text in noises(in_json(seeds), number - number // 2, noise):
        try:
            parse_json(text.encode("utf-8", "surrogatepass"), CAPS, reader)
            read += 1
        except InvalidFilter as error:
            assert error.pointer is not None, text
        except Exception as error:
            raise AssertionError(text) from error
    return read


if __name__ == "__main__":
    from tests.test_cql2_assertions import ASSERTIONS

    every = (*SEEDS, *(predicate for _, predicate, _ in ASSERTIONS))
    begin = time.monotonic()
    for step in range(int(sys.argv[1]) // 20_000):
        read = read_all(every, 20_000, step)
        print(
            f"{(step + 1) * 20_000} read, {read} of the last 20,000 filters,"
            f" {time.monotonic() - begin:.0f} s",
            flush=True,
        )
