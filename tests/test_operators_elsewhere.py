"""Types whose operators are in a schema outside the search path, as those of extensions may be:

PostgreSQL does not find them, or takes others, by which pages would lose rows.
"""

import pytest

from tests.conftest import Client, Service
from tests.filtering import refusal, selected
from tests.http import fetch
from tests.posting import with_tables

# a number of its own, made of those of int4, for no extension that comes with PostgreSQL has one
NUMBER = """
CREATE TYPE {schema}.num;
CREATE FUNCTION {schema}.num_in(cstring) RETURNS {schema}.num LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION {schema}.num_out({schema}.num) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE {schema}.num (INPUT = {schema}.num_in, OUTPUT = {schema}.num_out, LIKE = int4, CATEGORY = 'N');
""" + "".join(
    f"""
CREATE FUNCTION {{schema}}.num_{name}({{schema}}.num, {{schema}}.num) RETURNS bool
  LANGUAGE internal IMMUTABLE STRICT AS 'int4{name}';
CREATE OPERATOR {{schema}}.{sign} (FUNCTION = {{schema}}.num_{name}, LEFTARG = {{schema}}.num, RIGHTARG = {{schema}}.num);
"""
    for name, sign in {"lt": "<", "le": "<=", "eq": "=", "ge": ">=", "gt": ">", "ne": "<>"}.items()
)
NUMBER += """
CREATE FUNCTION {schema}.num_cmp({schema}.num, {schema}.num) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'btint4cmp';
CREATE OPERATOR CLASS {schema}.num_ops DEFAULT FOR TYPE {schema}.num USING btree AS
  OPERATOR 1 {schema}.<, OPERATOR 2 {schema}.<=, OPERATOR 3 {schema}.=, OPERATOR 4 {schema}.>=, OPERATOR 5 {schema}.>,
  FUNCTION 1 {schema}.num_cmp({schema}.num, {schema}.num);
"""
TABLES = f"""
CREATE SCHEMA elsewhere; CREATE EXTENSION citext SCHEMA elsewhere;
{NUMBER.format(schema="elsewhere")} {NUMBER.format(schema="public")}
CREATE TABLE things (id int PRIMARY KEY, word elsewhere.citext, far elsewhere.num, near public.num, geom geometry(Point, 4326));
INSERT INTO things
  SELECT n, (ARRAY['a', 'B', 'c', 'D'])[n % 4 + 1], n::text::elsewhere.num, (n % 7)::text::num, ST_Point(n, n, 4326)
  FROM generate_series(1, 30) n;
CREATE VIEW words AS SELECT word, id, geom FROM things;
"""
url = with_tables(TABLES)


@pytest.fixture
async def client(service: Service, url: str) -> Client:
    return await service(url)


async def pages(client: Client, path: str) -> list[int]:
    """The numbers of the features of all pages."""
    found: list[int] = []
    while path:
        page = await fetch(client, path)
        found += [each["properties"].get("id") or each["id"] for each in page["features"]]
        path = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    return found


async def test_what_cannot_be_compared_is_neither_sortable_nor_a_parameter_and_is_refused(
    client: Client,
) -> None:
    sortable = (await fetch(client, "/collections/things/sortables"))["properties"]
    queryable = (await fetch(client, "/collections/things/queryables"))["properties"]
    assert (list(sortable), list(queryable)) == (["id", "near"], ["id", "word", "near", "geom"])
    for name, kind in {"word": "elsewhere.citext", "far": "elsewhere.num"}.items():
        why = f"the operators of {kind} are outside the search path"
        problem = await fetch(client, f"/collections/things/items?sortby={name}", 400)
        assert (
            problem["detail"]
            == f"sortby: the type of {name!r} is {kind}, which has no order: {why}"
        )
        problem = await fetch(client, f"/collections/things/items?{name}=1", 400)
        assert (
            problem["detail"]
            == f"the type of {name!r} is {kind}, which no parameter can be compared with: {why}"
        )
    assert "cannot be filtered by" in await refusal(client, "things", "far = '1'")


async def test_what_can_be_compared_is(client: Client) -> None:
    assert await selected(client, "things", "word = 'B' AND near <> '1'") == {
        5,
        9,
        13,
        17,
        21,
        25,
    } - {1, 8, 15, 22, 29}
    for path in ("things/items?limit=4&sortby=-near", "words/items?limit=4"):
        assert sorted(await pages(client, f"/collections/{path}")) == list(range(1, 31))
    assert len((await fetch(client, "/collections/things/items?near=3"))["features"]) == 4
