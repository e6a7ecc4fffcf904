"""Filters against an evaluator of their trees that knows nothing of SQL: the same features, in text
and in JSON.
"""

import asyncio
import random
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args
from uuid import UUID

import asyncpg
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geosvc.cql2.names import SPATIAL, TEMPORAL
from geosvc.cql2.text import parse_text
from geosvc.cql2.tree import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Array,
    ArrayOperator,
    ArrayPredicate,
    Between,
    Boolean,
    Comparison,
    ComparisonOperator,
    Condition,
    Date,
    Folded,
    Function,
    In,
    IntervalLiteral,
    IsNull,
    Like,
    Not,
    Number,
    Or,
    Property,
    Spatial,
    Temporal,
    Text,
    Timestamp,
)
from tests.conftest import Client, Service, execute
from tests.cql2_oracle import Row, holds
from tests.cql2_writing import CAPS, KeptGeometries, to_json, to_text
from tests.filtering import found

KEPT = KeptGeometries()
WORDS = ["", "a", "A", "ab", "aB", "Ab", "b", "Z", "ä", "Ä", "a\u0308", "ß", "ẞ", "SS", "é", "É", "İ", "ı", "I",
         "σας", "ΣΑΣ", "Ё", "🌍", "50%", "a_b", "a\\b", "it's", "{}", "$1", " a "]  # fmt: skip
LABELS = ["sad", "ok", "it's"]
NUMBERS = [-3, -1, 0, 1, 2, 7, 100]
FRACTIONS = ["-0.5", "0", "0.1", "0.25", "1", "1.5", "2", "100"]
DAYS = [
    date(1969, 12, 31),
    date(2000, 2, 29),
    date(2024, 1, 1),
    date(2024, 1, 2),
    date(9999, 12, 31),
    date(1, 1, 1),
]
MOMENTS = [
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2000, 2, 29, tzinfo=UTC),
    datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2024, 1, 1, 12, tzinfo=UTC),
    datetime(2024, 1, 1, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 1, 2, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
]
KEYS = [UUID(int=0), UUID("6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"), UUID(int=(1 << 128) - 1)]
SHAPES = ["POINT (1 1)", "POINT (0 0)", "POINT (5 5)", "LINESTRING (0 0, 2 2)", "LINESTRING (0 2, 2 0)",
          "LINESTRING (2 2, 5 5)", "POLYGON ((0 0, 2 0, 2 2, 0 2, 0 0))", "POLYGON ((1 1, 3 1, 3 3, 1 3, 1 1))",
          "POLYGON ((2 0, 4 0, 4 2, 2 2, 2 0))",
          "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 3 1, 3 3, 1 3, 1 1))", "MULTIPOINT ((0 0), (1 1))",
          "MULTILINESTRING ((0 0, 1 1), (5 5, 6 6))",
          "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))"]  # fmt: skip
TEXTS = ("t", "nordic", "folded", "v", "c", "n", "ci", "mood")
COUNTS = ("i2", "i4", "i8", "f4", "f8", "num")
ROWS = 80
COLUMNS = """id int PRIMARY KEY, t text, nordic text COLLATE "sv-x-icu", folded text COLLATE ignore_case, v varchar(20),
c char(9), n name, ci citext, mood mood, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, num numeric, odd float8, flag bool,
day date, moment timestamptz, later timestamptz, naive timestamp, u uuid, tags text[], scores int[],
geom geometry(Geometry, 4326)"""
BEFORE = """CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s');
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"""


def _rows() -> list[dict[str, Any]]:
    chosen = random.Random(20261121)

    def some(values: list[Any], none: float = 0.15) -> Any:
        return None if chosen.random() < none else chosen.choice(values)

    def several(values: list[Any]) -> Any:
        return some([frozenset(chosen.choices([*values, None], k=chosen.randint(0, 3)))])

    def row(number: int) -> dict[str, Any]:
        made: dict[str, Any] = {"id": number, **{name: some(WORDS) for name in TEXTS}}
        made |= {
            "mood": some(LABELS),
            "c": some([word.rstrip(" ") for word in WORDS]),
            "odd": some([float("nan"), float("inf"), 1.0]),
        }
        made |= {name: some(NUMBERS) for name in ("i2", "i4", "i8")}
        made |= {
            "f4": some([np.float32(each) for each in FRACTIONS]),
            "f8": some(list(map(float, FRACTIONS))),
        }
        made |= {
            "num": some(list(map(Decimal, FRACTIONS))),
            "flag": some([True, False]),
            "day": some(DAYS),
            "u": some(KEYS),
        }
        made |= {name: some(MOMENTS) for name in ("moment", "later", "naive")}
        return {
            **made,
            "tags": several(["a", "b", "ß"]),
            "scores": several([1, 2, 3]),
            "geom": some([*map(shapely.from_wkt, SHAPES), shapely.Point()]),
        }

    return [row(number) for number in range(ROWS)]


TABLE = _rows()


def _stored(name: str, value: Any) -> Any:
    if isinstance(value, frozenset):
        return list(value)
    if isinstance(value, datetime):
        value = value.replace(tzinfo=None) if name == "naive" else value
        return value.isoformat()
    if isinstance(value, date | UUID | np.float32):
        return str(value)
    if isinstance(value, shapely.Geometry):
        return shapely.to_wkb(shapely.set_srid(value, 4326), hex=True, include_srid=True)
    return (
        str(value)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        else value
    )


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await _make_tables(connection)
    finally:
        await connection.close()


async def _make_tables(connection: Any) -> None:
    names = list(TABLE[0])
    types = {"tags": "text[]", "scores": "int[]", "flag": "bool"}
    values = ", ".join(
        f"${place}::{types.get(name, 'text')}::{_cast(name)}" for place, name in enumerate(names, 1)
    )
    for table in ("things", "indexed"):
        await connection.execute(f"CREATE TABLE {table} ({COLUMNS})")
        await connection.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})",
            [[_stored(name, row[name]) for name in names] for row in TABLE],
        )
    for name in (*TEXTS, *COUNTS, "odd", "flag", "day", "moment", "later", "naive", "u"):
        await connection.execute(f"CREATE INDEX ON indexed ({name})")
    await connection.execute(
        "CREATE INDEX ON indexed USING gist (geom); CREATE INDEX ON indexed USING gin (tags)"
    )
    # so small a table would be read whole
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{database}" SET enable_seqscan = off')


def _cast(name: str) -> str:
    return {
        "id": "int", "i2": "int2", "i4": "int4", "i8": "int8", "f4": "float4", "f8": "float8", "num": "numeric",
        "odd": "float8", "flag": "bool", "day": "date", "moment": "timestamptz", "later": "timestamptz",
        "naive": "timestamp", "u": "uuid", "mood": "mood", "geom": "geometry", "tags": "text[]", "scores": "int[]",
        "ci": "citext", "c": "bpchar",
    }.get(name, "text")  # fmt: skip


@pytest.fixture(scope="module")
def url(bare_module_url: str) -> str:
    execute(bare_module_url, BEFORE)
    asyncio.run(_fill(bare_module_url))
    return bare_module_url


@pytest.fixture
async def things(service: Service, url: str) -> Client:
    return await service(url)


def one_of(kind: Any, values: Any) -> Any:
    return st.builds(kind, st.sampled_from(values))


text_names, number_names = (
    st.builds(Property, st.sampled_from(TEXTS)),
    st.builds(Property, st.sampled_from(COUNTS)),
)
folds = st.sampled_from(["casei", "accenti"])
texts = st.recursive(
    text_names | text_names | one_of(Text, [*WORDS, *LABELS]),
    lambda inner: (
        st.builds(Folded, folds, inner)
        | st.builds(
            lambda name, arg: Function(name, (arg,)),
            st.sampled_from(["lower", "upper", "trim"]),
            inner,
        )
    ),
    max_leaves=3,
)
literal_numbers = one_of(
    Number, [Decimal(each) for each in (*map(str, NUMBERS), *FRACTIONS, "1e20", "-1e30", "99999")]
)
small = one_of(Number, [Decimal(each) for each in ("-2", "0", "0.5", "1", "2", "4", "10")])
numbers = st.recursive(
    number_names | number_names | literal_numbers,
    lambda inner: (
        st.builds(
            Arithmetic,
            st.sampled_from([op for op in get_args(ArithmeticOperator) if op != "^"]),
            inner,
            small,
        )
        | st.builds(
            Arithmetic,
            st.just("^"),
            number_names,
            st.builds(Number, st.sampled_from([Decimal(2), Decimal("0.5"), Decimal(-1)])),
        )
        | st.builds(
            lambda name, arg: Function(name, (arg,)),
            st.sampled_from(["abs", "floor", "ceil", "round"]),
            inner,
        )
        | st.builds(lambda arg: Function("length", (arg,)), texts)
    ),
    max_leaves=3,
)
dates = st.just(Property("day")) | one_of(Date, DAYS)
moments = st.builds(Property, st.sampled_from(["moment", "later", "naive"])) | one_of(
    Timestamp, MOMENTS
)
instants = dates | moments
quoted = one_of(
    Text, [*map(str, DAYS), *(each.isoformat().replace("+00:00", "Z") for each in MOMENTS)]
)
flags = st.just(Property("flag")) | st.builds(Boolean, st.booleans())
keys = st.just(Property("u"))
pairs = (
    st.tuples(texts, texts)
    | st.tuples(numbers, numbers)
    | st.tuples(st.just(Property("odd")), literal_numbers)
    | st.tuples(instants, instants)
    | st.tuples(st.builds(Property, st.sampled_from(["day", "moment", "naive"])), quoted)
    | st.tuples(keys, st.builds(Text, st.sampled_from(list(map(str, KEYS)))))
    | st.tuples(flags, flags)
)


def within_choices(node: Comparison | In) -> bool:
    """Whether no enum is compared with a text that it has not, which is refused."""
    if isinstance(node, Comparison) and node.op not in ("=", "<>"):
        return True
    value, others = (node.value, node.among) if isinstance(node, In) else (node.left, (node.right,))
    texts = (
        [value, *others]
        if value == Property("mood")
        else [value]
        if Property("mood") in others
        else []
    )
    return all(each.value in LABELS for each in texts if isinstance(each, Text))


comparisons = st.builds(
    lambda op, pair: Comparison(op, *pair), st.sampled_from(get_args(ComparisonOperator)), pairs
).filter(within_choices)
swapped = comparisons.map(lambda each: Comparison(each.op, each.right, each.left))


def among(value: Any, each: Any) -> Any:
    return st.builds(In, value, st.lists(each, min_size=1, max_size=4).map(tuple))


lists = (
    among(texts, texts)
    | among(text_names, one_of(Text, [*WORDS, *LABELS]))
    | among(numbers, numbers)
    | among(number_names, literal_numbers)
    | among(instants, instants)
    | among(keys, st.builds(Text, st.sampled_from(list(map(str, KEYS)))))
    | among(flags, flags)
).filter(within_choices)
betweens = (
    st.builds(Between, texts, texts, texts)
    | st.builds(Between, numbers, numbers, numbers)
    | st.builds(Between, instants, instants, instants)
)
patterns = st.builds(
    Text,
    st.text(st.sampled_from("aAbßé%_\\5σ "), max_size=5).filter(
        lambda each: not each.endswith("\\")
    ),
)
likes = st.builds(Like, texts, patterns | st.builds(Folded, folds, patterns))
nulls = st.builds(
    IsNull,
    texts
    | numbers
    | instants
    | st.builds(Property, st.sampled_from(["geom", "tags", "u", "flag"])),
)
edges = (
    st.none()
    | instants
    | st.sampled_from([Property("moment"), Property("later"), Date(DAYS[2]), Timestamp(MOMENTS[2])])
)
intervals = st.builds(IntervalLiteral, edges, edges)
_OF_INSTANTS = ["after", "before", "disjoint", "equals", "intersects"]


def ordered(node: Temporal) -> bool:
    """Whether no interval of literals ends before it starts, which is refused."""
    for side in (node.left, node.right):
        if (
            isinstance(side, IntervalLiteral)
            and isinstance(side.start, Date | Timestamp)
            and isinstance(side.end, Date | Timestamp)
        ):
            first, last = (each.value if isinstance(each, Timestamp) else datetime.combine(each.value, datetime.min.time(), UTC)
                           for each in (side.start, side.end))  # fmt: skip
            if first > last:
                return False
    return True


temporals = (
    st.builds(Temporal, st.sampled_from(list(TEMPORAL.values())), intervals, intervals)
    | st.builds(Temporal, st.sampled_from(_OF_INSTANTS), intervals | instants, intervals | instants)
).filter(ordered)
arrays = st.builds(
    lambda op, names, values, way: ArrayPredicate(
        op, *((Property(names), values) if way else (values, Property(names)))
    ),
    st.sampled_from(get_args(ArrayOperator)),
    st.just("tags"),
    st.builds(Array, st.lists(one_of(Text, ["a", "b", "ß", "x"]), max_size=3).map(tuple))
    | st.just(Property("tags")),
    st.booleans(),
) | st.builds(
    ArrayPredicate,
    st.sampled_from(get_args(ArrayOperator)),
    st.just(Property("scores")),
    st.builds(
        Array,
        st.lists(one_of(Number, [Decimal(1), Decimal("2.0"), Decimal(9)]), max_size=3).map(tuple),
    ),
)
shapes = st.sampled_from(SHAPES).map(
    lambda each: KEPT.geometry(shapely.to_geojson(shapely.from_wkt(each)).encode(), 1)
)
spatials = st.builds(
    lambda op, literal, way: Spatial(
        op, *((Property("geom"), literal) if way else (literal, Property("geom")))
    ),
    st.sampled_from(list(SPATIAL.values())),
    shapes,
    st.booleans(),
) | st.builds(Spatial, st.sampled_from(list(SPATIAL.values())), shapes, shapes)
truths = st.builds(
    Function, st.sampled_from(["starts_with", "contains_text"]), st.tuples(texts, texts)
)
leaves = (
    comparisons
    | swapped
    | lists
    | betweens
    | likes
    | nulls
    | temporals
    | arrays
    | spatials
    | truths
    | flags
)
conditions: Any = st.recursive(
    leaves,
    lambda inner: (
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Not, inner)
    ),
    max_leaves=5,
)


def expected(tree: Condition, rows: list[Row] = TABLE) -> set[int]:  # type: ignore[assignment]
    return {row["id"] for row in rows if holds(tree, row)}


KINDS = {
    "comparisons": (comparisons | swapped, 150),
    "lists": (lists, 90),
    "ranges": (betweens, 60),
    "patterns": (likes, 80),
    "times": (temporals, 250),
    "arrays": (arrays, 80),
    "shapes": (spatials, 120),
    "values that are missing": (nulls | truths | flags, 30),
    "junctions": (conditions, 120),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_service_selects_what_the_oracle_does(things: Client, kind: str) -> None:
    conditions_, examples = KINDS[kind]

    @given(conditions_, st.booleans(), st.sampled_from(["things", "indexed"]))
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    async def check(tree: Condition, in_text: bool, collection: str) -> None:
        text = to_text(tree)
        assert to_json(parse_text(text, CAPS, KEPT)) == to_json(tree)
        filter_ = text if in_text else to_json(tree)
        selected, wanted = (
            await found(things, collection, filter=filter_, properties=["id"], count="none"),
            expected(tree),
        )
        differ = sorted(selected ^ wanted)
        assert not differ, (
            filter_,
            [TABLE[number] for number in differ][:2],
            "selected" if differ[0] in selected else "left out",
        )

    inner = check.hypothesis.inner_test  # type: ignore[attr-defined]
    loop = asyncio.get_running_loop()

    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run_coroutine_threadsafe(inner(*args, **kwargs), loop).result(30)

    check.hypothesis.inner_test = run  # type: ignore[attr-defined]
    await asyncio.to_thread(check)
