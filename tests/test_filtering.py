"""What filters in CQL2 mean, by example: on PostGIS, through the service."""

import asyncio
import json

import pytest

from tests.conftest import Client, Service, execute
from tests.filtering import answer, found, in_json, refusal, search, selected

TABLES = """
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s');
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE things (
    id int PRIMARY KEY, n int, big bigint, amount numeric, half real, double float8, flag bool,
    t text, c char(5), ci citext, folded text COLLATE ignore_case, nordic text COLLATE "sv-x-icu", mood mood, u uuid,
    day date, moment timestamptz, later timestamptz, naive timestamp,
    tags text[], scores int[], times timestamptz[], doc jsonb,
    geom geometry(Geometry, 4326)
);
INSERT INTO things (id) VALUES (2);
INSERT INTO things VALUES
(1, 1, 9007199254740993, 1.10, 0.1, 0.1, true, 'a', 'a', 'Ab', 'Ab', 'å', 'sad', '6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d',
 '2024-02-29', '2024-02-29 00:00+00', '2024-03-01 00:00+00', '2024-02-29 23:59:59.999999',
 '{a,b,b}', '{1,2}', '{2024-02-29 00:00+00}', '{}', 'POINT(1 1)'),
(3, -5, -1, 'NaN', 1e30, 'Infinity', false, 'B', 'b', 'aB', 'aB', 'z', 'it''s', '00000000-0000-0000-0000-000000000000',
 '9999-12-31', 'infinity', 'infinity', '2024-03-01 00:00', '{}', '{}', '{}', '1', 'POLYGON((0 0, 2 0, 2 2, 0 2, 0 0))'),
(4, 0, 0, 0, -0.5, -0.0, false, '50%_\\ö', '50%', 'ab', 'ab', 'Z', 'ok', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
 '5874897-12-31', '-infinity', '-infinity', 'infinity', '{NULL}', '{NULL,7}', '{infinity}', 'null', 'POINT EMPTY');
CREATE VIEW some_things AS SELECT id, t, n, geom FROM things WHERE id <> 4;
"""
EVERYTHING = {1, 2, 3, 4}


@pytest.fixture(scope="module")
def url(bare_module_url: str) -> str:
    execute(bare_module_url, TABLES)
    return bare_module_url


@pytest.fixture
async def things(service: Service, url: str) -> Client:
    return await service(url)


VALUES = [
    ("n = 1", {1}),
    ("1 <> n", {3, 4}),
    ("n > -5", {1, 4}),
    ("n BETWEEN -5 AND 0", {3, 4}),
    ("n NOT BETWEEN -5 AND 0", {1}),
    ("n IN (1, 0, 7, 1.5)", {1, 4}),
    ("n IN (1.5)", set()),
    ("n = 1.5", set()),
    ("n > 99999999999999999999", set()),
    ("n + 1 = 1", {4}),
    ("big = 9007199254740993", {1}),
    ("big = 9007199254740992", set()),
    ("big + 1 = 9007199254740994", {1}),
    ("amount = 1.1", {1}),
    ("amount IN (1.10, 0)", {1, 4}),
    ("half = 0.1", {1}),
    ("half IN (0.1, 1e300)", {1}),
    ("half < 1e300", {1, 3, 4}),
    ("double = 0.1", {1}),
    ("double = 0", {4}),
    ("double > 1e308", {3}),
    ("flag", {1}),
    ("flag = FALSE", {3, 4}),
    ("flag IN (TRUE)", {1}),
    ("t = 'a'", {1}),
    ("t >= 'a'", {1}),
    ("t < 'a'", {3, 4}),
    ("t IN ('a', 'B', 'x')", {1, 3}),
    ("t LIKE 'A'", set()),
    ("CASEI(t) IN (CASEI('A'), CASEI('b'))", {1, 3}),
    ("c = 'a'", {1}),
    ("c = 'a    '", set()),
    ("c IN ('b', 'b ')", {3}),
    ("c LIKE 'a%'", {1}),
    ("ci = 'ab'", {4}),
    ("ci IN ('ab', 'Ab')", {1, 4}),
    ("ci <> 'ab'", {1, 3}),
    ("CASEI(ci) = 'ab'", {1, 3, 4}),
    ("ci LIKE 'a%'", {3, 4}),
    ("folded = 'ab'", {4}),
    ("folded IN ('ab', 'Ab')", {1, 4}),
    ("folded <> 'ab'", {1, 3}),
    ("folded LIKE 'A%'", {1}),
    ("ACCENTI(folded) = 'Ab'", {1}),
    ("starts_with(folded, 'A')", {1}),
    ("contains_text(folded, nordic)", set()),
    ("folded = nordic OR t < nordic", {1, 3, 4}),
    ("nordic < 'a'", {4}),
    ("mood = 'it''s'", {3}),
    ("mood IN ('sad', 'ok')", {1, 4}),
    ("mood LIKE 'never%' OR mood < 'never' AND CASEI(mood) <> 'never'", {3}),
    ("mood < 'p'", {3, 4}),
    ("u = '6F1B2C3D-4E5F-4A6B-8C7D-9E0F1A2B3C4D'", {1}),
    (
        "u IN ('00000000-0000-0000-0000-000000000000', '6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d')",
        {1, 3},
    ),
    ("tags IS NULL", {2}),
    ("geom IS NULL", {2}),
    ("geom IS NOT NULL", {1, 3, 4}),
    ("n IS NULL OR mood IS NULL", {2}),
]


async def test_values_are_compared_as_the_standard_says(things: Client) -> None:
    wrong = [
        (each, expected, got)
        for each, expected in VALUES
        if (got := await selected(things, "things", each)) != expected
    ]
    assert not wrong


UNKNOWN_OF_NULL = [
    "n = 1", "n <> 1", "n < 1", "n BETWEEN 0 AND 2", "n IN (1, 2)", "n IN (1.5)", "n + 1 = 2", "n = n", "n IN (n, 1)",
    "-n < 5", "n div 2 = 0", "n ^ 2 = 1", "t = 'a'", "t < 'b'", "t LIKE 'a%'", "t IN ('a', 'b')", "CASEI(t) = 'a'",
    "ACCENTI(CASEI(t)) LIKE ACCENTI('A')", "c = 'a '", "ci = 'ab'", "ci IN ('ab')", "folded = 'ab'", "folded IN ('ab', 'c')",
    "mood = 'sad'", "mood <> 'sad'", "mood IN ('sad', 'ok')", "u = '6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d'", "flag",
    "flag = TRUE", "flag IN (TRUE)", "day = DATE('2024-02-29')", "day = TIMESTAMP('2024-02-29T00:00:00Z')",
    "moment = DATE('2024-02-29')", "moment <> DATE('2024-02-29')", "moment IN (DATE('2024-02-29'), '2024-03-01')",
    "T_AFTER(day, DATE('2024-01-01'))", "T_AFTER(day, TIMESTAMP('2024-01-01T00:00:00Z'))",
    "T_DURING(INTERVAL(moment, later), INTERVAL('2020-01-01', '..'))", "T_DISJOINT(moment, later)",
    "A_CONTAINS(tags, ('a'))", "A_EQUALS(tags, ())", "A_CONTAINEDBY(('a'), tags)", "A_OVERLAPS(scores, (1))",
    "A_EQUALS(tags, tags)", "starts_with(t, 'a')", "length(t) > 0", "year(day) > 0", "S_INTERSECTS(geom, BBOX(0, 0, 9, 9))",
    "S_DISJOINT(geom, POINT(1 1))", "S_WITHIN(geom, BBOX(0, 0, 9, 9))", "S_CONTAINS(geom, POINT(1 1))",
    "S_EQUALS(POINT(1 1), geom)", "S_TOUCHES(geom, POINT(0 0))", "S_CROSSES(geom, LINESTRING(0 0, 1 1))",
    "S_OVERLAPS(geom, BBOX(1, 1, 9, 9))", "S_EQUALS(geom, geom)", "S_TOUCHES(geom, geom)", "S_DISJOINT(geom, geom)",
    "S_INTERSECTS(geom, GEOMETRYCOLLECTION(POINT(1 1), LINESTRING(5 5, 6 6)))",
]  # fmt: skip


@pytest.mark.parametrize(
    "condition",
    [
        "mood = 'never'",
        "'never' = mood",
        "mood <> 'never'",
        "mood IN ('sad', 'never')",
        "mood NOT IN ('never')",
        "'never' IN (mood)",
    ],
)
async def test_what_an_enum_has_not_is_refused_as_it_is_in_a_parameter(
    things: Client, condition: str
) -> None:
    status, body = await answer(things, "things", condition)
    assert status == 400, body
    async with things.get("/collections/things/items", params={"mood": "never"}) as response:
        parameter = json.loads(await response.read())
    assert (response.status, parameter["detail"]) == (400, "mood takes one of: sad, ok, it's")
    place = condition.index("'never'") + 1
    assert (body["position"], body["detail"]) == (
        place,
        f"at character {place}: {parameter['detail']}",
    )


async def test_what_is_unknown_is_neither_so_nor_not_so(things: Client) -> None:
    for predicate in UNKNOWN_OF_NULL:
        await unknown_of_null(things, predicate)


async def unknown_of_null(things: Client, predicate: str) -> None:
    holds, denied = [
        await selected(things, "things", each) for each in (predicate, f"NOT ({predicate})")
    ]
    assert 2 not in holds | denied, predicate
    assert not holds & denied
    assert holds | denied == EVERYTHING - {2}, predicate
    assert await selected(things, "things", f"NOT NOT ({predicate})") == holds
    assert await selected(things, "things", f"({predicate}) OR id = 2") == holds | {2}
    assert await selected(things, "things", f"NOT (({predicate}) AND id = 1)") == EVERYTHING - (
        holds & {1}
    )
    assert await selected(things, "things", f"NOT (({predicate}) OR id <> 2)") == set()


async def test_division_by_zero_is_unknown(things: Client) -> None:
    for predicate in (
        "n / 0 = 1",
        "n % 0 = 1",
        "n div 0 = 1",
        "double / 0 = 1",
        "0 ^ -1 = 1",
        "(n - 6) ^ 0.5 = 1",
        "1 / n > 0",
    ):
        zero = await selected(things, "things", f"{predicate} OR NOT ({predicate})")
        assert 4 not in zero, predicate


async def test_what_leaves_the_range_of_numbers_is_the_clients_fault(things: Client) -> None:
    for predicate in ("double + 1e308 * 10 > 0", "10 ^ 400 = n", "half * 1e308 * 1e308 > 1"):
        assert "range" in await refusal(things, "things", predicate)


REFUSED = [
    ("n = 'a'", ("a number", "a text")),
    ("t = 1", ("a text", "a number")),
    ("1 = t", ("a text", "a number")),
    ("flag = 'true'", ("a truth value", "a text")),
    ("day = 5", ("a date", "a number")),
    ("t < DATE('2024-01-01')", ("a text", "a date")),
    ("n BETWEEN 1 AND 'x'", ("a number", "a text")),
    ("t IN ('a', 1)", ("a text", "a number")),
    ("u = 1", ("a value of another type", "a number")),
    ("u = t", ("a value of another type", "a text")),
    ("n + t = 1", ("a number", "a text")),
    ("CASEI(n) = 'a'", ("a text", "a number")),
    ("n LIKE 'a'", ("a text", "a number")),
    ("T_AFTER(t, DATE('2024-01-01'))", ("a date or a timestamp", "a text")),
    ("n AND t = 'a'", ("a truth value", "a number")),
    ("abs(t) = 1", ("a number", "a text")),
    ("tags = 'a'", ("'tags'", "an array")),
    ("geom = 'a'", ("'geom'", "a geometry")),
    ("S_INTERSECTS(t, POINT(1 1))", ("a geometry was expected",)),
    ("A_CONTAINS(t, ('a'))", ("an array was expected",)),
    ("A_CONTAINS(tags, (1))", ("tags holds no elements of this kind",)),
    ("A_CONTAINS(tags, scores)", ("tags", "scores", "different types")),
    ("A_EQUALS(('a'), (nowhere))", ("a literal was expected",)),
    ("doc = 'a'", ("'doc'", "jsonb")),
    ("nowhere = 1", ("things has no property 'nowhere'",)),
    ("n != 1", ("'!=' means nothing here: CQL2 writes <>",)),
    ("n == 1", ("'==' means nothing here: CQL2 writes =",)),
    ("n = 1 && n = 2", ("CQL2 writes AND",)),
    ("n = 1 || n = 2", ("CQL2 writes OR",)),
    ("n = NULL", ("CQL2 writes IS NULL",)),
    ("n <> null", ("IS NOT NULL",)),
    ("S_INTERSECTS(geometry, POINT(1 1))", ("the geometry is called geom",)),
    ("S_INTERSECTS(the_geom, POINT(1 1))", ("the geometry is called geom",)),
    (
        "S_DWITHIN(geom, POINT(1 1), 10)",
        ("POST /collections/things/search with predicate dwithin and distance",),
    ),
    ("ST_DWithin(geom, POINT(1 1), 10)", ("predicate dwithin and distance",)),
    ("S_INTERSECT(geom, POINT(1 1))", ("did you mean S_INTERSECTS?",)),
    ("ST_Intersects(geom, POINT(1 1))", ("did you mean S_INTERSECTS?",)),
    ("nothing(n) = 1", ("no function 'nothing'", "GET /functions")),
    ("abs(n, n) = 1", ("abs takes 1 arguments, not 2",)),
    ("u = 'x'", ("u takes a UUID",)),
    ("day = 'yesterday'", ("a date",)),
    ("T_MEETS(day, DATE('2024-01-01'))", ("an interval was expected",)),
    ("T_AFTER(day, INTERVAL('2024-02-01', '2024-01-01'))", ("starts after its end",)),
]


async def test_what_cannot_be_is_refused_and_named(things: Client) -> None:
    for predicate, kinds in REFUSED:
        said = await refusal(things, "things", predicate)
        assert all(kind in said for kind in kinds), (predicate, said)
        assert said.startswith("at character "), (predicate, said)


TIMES = [
    ("moment = DATE('2024-02-29')", {1}),
    ("moment = '2024-02-29'", {1}),
    ("moment = '2024-02-29T00:00:00Z'", {1}),
    ("moment = '2024-02-29T01:00:00+01:00'", {1}),
    ("naive = DATE('2024-02-29')", {1}),
    ("naive > DATE('2024-02-29')", {3, 4}),
    ("naive <= DATE('2024-02-29')", {1}),
    ("naive < DATE('2024-03-01')", {1}),
    ("naive = TIMESTAMP('2024-02-29T23:59:59.999999Z')", {1}),
    ("day = TIMESTAMP('2024-02-29T13:00:00Z')", {1}),
    ("day BETWEEN '2024-01-01' AND '9999-12-31'", {1, 3}),
    ("day = moment", {1}),
    ("moment = day", {1}),
    ("naive > moment", {1, 4}),
    ("moment > DATE('9999-12-31')", {3}),
    ("naive = DATE('9999-12-31')", set()),
    ("moment >= DATE('0001-01-01')", {1, 3}),
    ("moment <> DATE('9999-12-31')", {1, 3, 4}),
    ("moment IN ('2024-02-29', TIMESTAMP('2024-02-29T00:00:00Z'))", {1}),
    ("day IN (DATE('2024-02-29'), DATE('9999-12-31'))", {1, 3}),
    ("T_AFTER(day, DATE('2024-02-28'))", {1, 3, 4}),
    ("T_AFTER(day, TIMESTAMP('2024-02-29T00:00:00Z'))", {3, 4}),
    ("T_BEFORE(moment, DATE('2024-02-29'))", {4}),
    ("T_INTERSECTS(naive, INTERVAL('2024-02-01', '2024-02-29'))", {1}),
    ("T_INTERSECTS(naive, INTERVAL('2024-03-01', '..'))", {3, 4}),
    (
        (
            "T_EQUALS(INTERVAL(moment, later), INTERVAL('2024-02-29T00:00:00Z',"
            " '2024-03-01T00:00:00Z'))"
        ),
        {1},
    ),
    ("T_EQUALS(moment, DATE('2024-02-29'))", set()),
    ("T_DURING(INTERVAL(moment, later), INTERVAL('2024-02-28', '2024-03-01'))", {1}),
    ("T_STARTS(INTERVAL(moment, later), INTERVAL('2024-02-29', '..'))", {1}),
    ("T_FINISHEDBY(INTERVAL('..', '..'), INTERVAL(moment, later))", {3}),
    ("T_MEETS(INTERVAL(day, day), INTERVAL(DATE('9999-12-31'), '..'))", {3}),
    ("T_INTERSECTS(INTERVAL(day, moment), INTERVAL('2024-01-01', '..'))", {1, 3}),
    ("year(day) = 2024 AND month(moment) = 2 AND hour(naive) = 23", {1}),
    ("A_CONTAINS(times, (TIMESTAMP('2024-02-29T00:00:00Z')))", {1}),
]


async def test_days_and_instants_are_compared_as_days_and_intervals_are_closed(
    things: Client,
) -> None:
    wrong = [
        (each, expected, got)
        for each, expected in TIMES
        if (got := await selected(things, "things", each)) != expected
    ]
    assert not wrong


ARRAYS = [
    ("A_EQUALS(tags, ('b', 'a'))", {1}),
    ("A_EQUALS(tags, ())", {3}),
    ("A_CONTAINS(tags, ('a', 'a'))", {1}),
    ("A_CONTAINS(('a', 'b', 'c'), tags)", {1, 3}),
    ("A_CONTAINEDBY(tags, ('a', 'b', 'c'))", {1, 3}),
    ("A_OVERLAPS(tags, ('b', 'x'))", {1}),
    ("A_OVERLAPS(scores, (7, 1))", {1, 4}),
    ("A_CONTAINS(scores, (1.0))", {1}),
    ("A_EQUALS(tags, tags)", {1, 3}),
    ("A_EQUALS(('a', 'b'), ('b', 'a', 'a'))", EVERYTHING),
    ("A_CONTAINS(('a'), ('b'))", set()),
]


async def test_arrays_are_sets(things: Client) -> None:
    wrong = [
        (each, expected, got)
        for each, expected in ARRAYS
        if (got := await selected(things, "things", each)) != expected
    ]
    assert not wrong


PATTERNS = [
    ("50\\%\\_%", {4}),
    ("50__%", {4}),
    ("50\\%_\\\\ö", {4}),
    ("%\\\\%", {4}),
    ("_", {1, 3}),
    ("%", {1, 3, 4}),
    ("", set()),
    ("\\a", {1}),
]


async def test_patterns_know_two_wildcards_and_a_backslash_takes_the_next_as_it_is(
    things: Client,
) -> None:
    for pattern, expected in PATTERNS:
        assert await selected(things, "things", f"t LIKE '{pattern}'") == expected, pattern
        assert (
            await in_json(things, "things", {"op": "like", "args": [{"property": "t"}, pattern]})
            == expected
        ), pattern


async def test_five_thousand_values_are_one_parameter(things: Client) -> None:
    for property_, literal in (
        ("n", "{}"), ("half", "{}.5"), ("amount", "{}"), ("n + 1", "{}"), ("5", "{}"), ("t", "'{}'"), ("CASEI(t)", "'{}'"),
        ("c", "'{}'"), ("ci", "'{}'"), ("u", "'00000000-0000-0000-0000-00000000{:04}'"),
        ("day", "DATE('2{:03}-01-01')"), ("moment", "TIMESTAMP('2{:03}-01-01T00:00:00Z')"),
        ("naive", "'2{:03}-01-01T00:00:00Z'"),
    ):  # fmt: skip
        listed = ",".join(
            literal.format(number % 1_000 if "03" in literal else number) for number in range(5_000)
        )
        status, body = await search(
            things, "things", filter=f"{property_} IN ({listed})"[:65_000].rpartition(",")[0] + ")"
        )
        assert status == 200, (property_, body)


async def test_a_filter_of_text_and_the_same_in_json_select_the_same(things: Client) -> None:
    number = {"op": ">", "args": [{"property": "n"}, 0]}
    place = {"op": "s_intersects", "args": [{"property": "geom"}, {"bbox": [0, 0, 9, 9]}]}
    assert await in_json(things, "things", {"op": "and", "args": [number, place]}) == {1}
    assert await selected(things, "things", "n > 0 AND S_INTERSECTS(geom, BBOX(0, 0, 9, 9))") == {1}
    assert await found(things, "things", filter={"op": "and", "args": [number, place]}) == {1}
    assert await found(
        things, "things", filter="n > 0 AND S_INTERSECTS(geom, BBOX(0, 0, 9, 9))"
    ) == {1}
    status, body = await answer(things, "some_things", "n <> 0")
    assert (status, {feature["properties"]["t"] for feature in body["features"]}) == (
        200,
        {"a", "B"},
    )


async def test_the_place_of_a_fault_is_told_in_both_languages(things: Client) -> None:
    _, body = await answer(things, "things", "n = 1 AND x = 1")
    assert (body["position"], body["parameter"]) == (11, "filter")
    written = '{"op": "and", "args": [true, {"op": "=", "args": [{"property": "x"}, 1]}]}'
    _, body = await answer(things, "things", written, **{"filter-lang": "cql2-json"})
    assert body["pointer"] == "/args/1/args/0"
    status, body = await search(
        things, "things", filter={"op": "=", "args": [{"property": "x"}, 1]}
    )
    assert (status, body["pointer"]) == (400, "/filter/args/0")
    status, body = await search(things, "things", filter="x = 1")
    assert (status, body["pointer"], body["position"]) == (400, "/filter", 1)
    for query in (
        {"filter-lang": "cql"},
        {"filter-crs": "http://www.opengis.net/def/crs/EPSG/0/9"},
        {"filter-crs": "x"},
    ):
        status, body = await answer(things, "things", "n = 1", **query)
        assert (status, body["parameter"]) == (400, next(iter(query)))


async def test_functions_of_numbers_fail_for_no_stored_value(
    service: Service, bare_database_url: str
) -> None:
    def prepare() -> None:
        execute(
            bare_database_url,
            "CREATE TABLE extremes (id int PRIMARY KEY, amount numeric, big bigint, geom"
            " geometry(Point, 4326));"
            "INSERT INTO extremes VALUES (1, 1e400, -9223372036854775808), (2, 'NaN',"
            " 9007199254740993), (3, '-Infinity', 0)",
        )

    await asyncio.to_thread(prepare)
    client = await service(bare_database_url)
    for name in ("abs", "floor", "ceil", "round"):
        assert 1 in await selected(client, "extremes", f"{name}(amount) > 1")
    assert await selected(client, "extremes", "abs(big) = 9223372036854775808") == {1}
    assert await selected(client, "extremes", "floor(big) = 9007199254740993") == {2}
