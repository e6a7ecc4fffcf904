"""Numbers of more digits than a double has, as a client sends them that holds numbers as doubles:
what is stored stays.
"""

import json
from typing import Any

import asyncpg
import pytest

from tests.conftest import Client
from tests.posting import GEOJSON, MERGE_PATCH, raw_feature, send, with_tables, writable

LONG = "1234567890123456789.012345678"
# a column, its stored value, and what of it a client sends that holds numbers as doubles; None: as
# Python writes them
ROUNDED: list[tuple[str, str, str | None]] = [
    ("digits numeric", LONG, None),
    ("digits numeric", LONG, "1234567890123456800"),  # as JavaScript writes it
    ("digits numeric", LONG, "1.2345678901234568E18"),
    ("digits numeric", LONG, "1234567890123456768"),  # the double itself
    ("digits numeric", "0.1", "0.10000000000000001"),  # 17 digits, as printf writes them
    ("digits numeric", "0.1000000000000000000000001", "0.1"),
    ("digits numeric", "1.50", "1.5"),
    ("digits numeric", "-1e-400", "0"),
    ("fixed numeric(25, 5)", "99999999999999999999.99999", "100000000000000000000"),
    ("big int8", "9007199254740993", "9007199254740992"),
    ("big int8", "-9007199254740993", "-9007199254740992"),
    ("big int8", "9223372036854775807", "9223372036854776000"),
    ("big int8", "-9223372036854775807", "-9223372036854776000"),
    ("bounded bounded", "9223372036854775807", "9223372036854776000"),
    ("exact exact", LONG, None),
    ("numbers numeric[]", f"ARRAY[{LONG}, 2.50, NULL]", None),
    (
        "square int8[]",
        "ARRAY[[9007199254740993, 1], [9223372036854775807, 2]]",
        "[[9007199254740992,1],[9223372036854776000,2]]",
    ),
    ("two pair", f"ROW({LONG}, 9007199254740993)", None),
    ("pairs pair[]", f"ARRAY[ROW({LONG}, 9007199254740993)::pair]", None),
    (
        "tree jsonb",
        f"""'{{"a": [{LONG}, {{"9007199254740993": 9007199254740993, "b": 1.10}}]}}'""",
        None,
    ),
    ("bare jsonb", f"'{LONG}'", None),
    ("written json", f"""'{{"b": {LONG},  "a":1.10, "c":1e2, "b": 12345678901234567890}}'""", None),
    ("trees jsonb[]", f"""ARRAY['{{"n": {LONG}}}'::jsonb]""", None),
    ("real float4", "0.1", None),
    ("real float4", "3.4028235e38", None),
    ("double float8", "0.30000000000000004", None),
    ("price money", "90071992547409.93", None),
    ("range numrange", f"'[1,{LONG}]'", None),
]
TYPES = """
CREATE DOMAIN bounded AS int8 CHECK (VALUE > 0); CREATE DOMAIN exact AS numeric(30, 9);
CREATE TYPE pair AS (amount numeric, number int8);
"""


def table_of(place: int) -> str:
    """A table of one column and one row."""
    column, value, _ = ROUNDED[place]
    return (
        f"CREATE TABLE t{place} (id int PRIMARY KEY, {column}, note text, geom geometry);"
        f"INSERT INTO t{place} VALUES (1, {value}, 'a');"
    )


DOCUMENTS = f"""
CREATE TABLE documents (id int PRIMARY KEY, tree jsonb, written json, numbers numeric[], two pair, big int8, digits numeric,
    geom geometry);
INSERT INTO documents SELECT id, '{{"n": {LONG}, "m": 1.10, "list": [{{"n": {LONG}}}, 2], "o": {{"n": {LONG}}}}}',
    '{{"n": {LONG},  "m": 1.10}}', ARRAY[{LONG}, 12345678901234567890, 2.50], ROW({LONG}, 9007199254740993)::pair,
    9007199254740993, {LONG} FROM generate_series(1, 100) id;
"""
url = with_tables(TYPES + "".join(map(table_of, range(len(ROUNDED)))) + DOCUMENTS)
client = writable()


async def row_of(url: str, table: str, columns: str = "t", number: int = 1) -> Any:
    """The text of a row, or of some of its columns."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(
            f"SELECT ({columns})::text FROM {table} t WHERE id = {number}"
        )
    finally:
        await connection.close()


async def test_a_number_that_comes_back_as_the_nearest_double_is_left_as_it_is_stored(
    client: Client, url: str
) -> None:
    wrong = []
    for place, (column, _, sent) in enumerate(ROUNDED):
        name, before = column.split()[0], await row_of(url, f"t{place}")
        got = json.loads(await raw_feature(client, f"t{place}/items/1"), parse_int=number_of)
        value = sent if sent is not None else json.dumps(got["properties"][name])
        for method, kind in (("PUT", GEOJSON), ("PATCH", MERGE_PATCH)):
            head = '"type":"Feature","geometry":null,' if method == "PUT" else ""
            body = f'{{{head}"properties":{{"{name}":{value},"note":"a"}}}}'.encode()
            async with client.request(
                method, f"/collections/t{place}/items/1", data=body, headers={"Content-Type": kind}
            ) as response:
                now = await row_of(url, f"t{place}")
                if (response.status, now) != (204, before):
                    wrong.append(
                        (
                            method,
                            ROUNDED[place],
                            value,
                            response.status,
                            await response.text(),
                            before,
                            now,
                        )
                    )
    assert not wrong


def number_of(text: str) -> int | float:
    """A whole number as a double where it is beyond those that doubles hold."""
    return int(text) if abs(int(text)) < 2**53 else float(text)


BARE = {"type": "Feature", "geometry": None}
ROUND = 1234567890123456800
EDITED: list[tuple[str, Any, str, str]] = [
    # a property, what is sent of it, what is looked at, and what it is then
    ("digits", ROUND + 1000, "t.digits", "1234567890123457800"),
    ("digits", 1234567890123456801, "t.digits", "1234567890123456801"),
    ("digits", str(ROUND), "t.digits", str(ROUND)),
    ("digits", None, "t.digits", "None"),
    ("big", 9007199254740994, "t.big", "9007199254740994"),
    ("big", 5, "t.big", "5"),
    ("big", "9007199254740992", "t.big", "9007199254740992"),
    ("numbers", [ROUND, 7, 2.5], "t.numbers", f"{{{LONG},7,2.50}}"),
    (
        "numbers",
        [1, ROUND, 12345678901234567000, 2.5],
        "t.numbers",
        f"{{1,{LONG},12345678901234567890,2.50}}",
    ),
    ("numbers", [ROUND, 2.5], "t.numbers", f"{{{LONG},2.50}}"),
    ("two", {"amount": ROUND, "number": 7}, "t.two", f"({LONG},7)"),
    ("tree", {"n": ROUND, "m": 2, "list": 0, "o": 0}, "t.tree -> 'n'", LONG),
    ("tree", {"n": ROUND, "m": True, "list": 0, "o": 0}, "t.tree -> 'm'", "true"),
    ("tree", {"n": 1, "m": 1.1, "list": [{"n": ROUND}, 3], "o": 0}, "t.tree #> '{list,0,n}'", LONG),
    ("tree", {"n": 1, "list": [0, {"n": ROUND}, 2], "o": 0}, "t.tree #> '{list,1,n}'", LONG),
    ("tree", {"n": 1, "m": 1.1, "o": {"n": ROUND, "p": "-12.5e3"}}, "t.tree #> '{o,n}'", LONG),
    ("written", {"n": ROUND, "m": 5}, "t.written ->> 'n'", LONG),
    ("written", {"n": ROUND, "m": 5}, "t.written ->> 'm'", "5"),
    ("written", {"n": '\\" 1 \\', "m": 1.1}, "t.written ->> 'm'", "1.10"),
]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_change_is_stored_and_takes_no_digits_of_what_is_beside_it(
    client: Client, url: str, method: str
) -> None:
    wrong = []
    for number, (name, value, looked_at, then) in enumerate(EDITED, 1):
        body = {**(BARE if method == "PUT" else {}), "properties": {name: value}}
        kind = GEOJSON if method == "PUT" else MERGE_PATCH
        await send(client, method, f"documents/items/{number}", body, 204, kind=kind)
        found = str(await row_of(url, "documents", looked_at, number))
        if found != then:
            wrong.append((name, value, looked_at, found, then))
    assert not wrong


async def test_true_is_no_one_and_one_is_not_true(client: Client, url: str) -> None:
    for value in (1, True, 1, 0, False):
        await send(
            client,
            "PUT",
            "documents/items/1",
            {**BARE, "properties": {"tree": {"a": [value]}}},
            204,
        )
        assert await row_of(url, "documents", "t.tree #> '{a,0}'") == json.dumps(value)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_what_no_bigint_holds_is_refused_by_name(client: Client, method: str) -> None:
    kind = GEOJSON if method == "PUT" else MERGE_PATCH
    for digits in (
        "9223372036854775808",
        "-9223372036854775809",
        "9223372036854776000",
        "1" + "0" * 40,
        "1" + "0" * 5000,
    ):
        text = f'{{"properties":{{"big":{digits}}}}}'
        text = (
            text.replace("{", '{"type":"Feature","geometry":null,', 1) if method == "PUT" else text
        )
        problem = (await send(client, method, "documents/items/1", text.encode(), 422, kind=kind))[
            1
        ]
        assert (
            problem["pointer"],
            "922337203685477580" in problem["detail"] or len(digits) > 50,
        ) == (
            "/properties/big",
            True,
        ), problem


async def test_a_number_beyond_all_types_is_stored_as_json(client: Client, url: str) -> None:
    text = b'{"type":"Feature","geometry":null,"properties":{"written":{"n":1e99999999999999999999,"m":1.1}}}'
    for _ in range(2):
        await send(client, "PUT", "documents/items/1", text, 204)
        assert await row_of(url, "documents", "t.written ->> 'n'") == "1e99999999999999999999"
