"""Literals of SQL texts: grouped by, and redacted."""

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geosvc.sql.literals import called_functions, fingerprint, normalise, parameters_in, redact

NUMBERS = [
    "1",
    "1.5",
    ".5",
    "5.",
    "1e-9",
    "1.e3",
    "1E+1_0",
    "0x1F",
    "0o17",
    "0b101",
    "1_000",
    "123456789012",
]
STRINGS = [
    "''",
    "'a'",
    "'it''s'",
    "'a\\'",
    "E'a\\'b'",
    "e'\\\\'",
    "E'a''b\\\\'",
    "U&'\\0041'",
    "u&'''\\\\'",
    "B'101'",
    "X'1F'",
    "N'a'",
    "'two\nlines'",
    "'goes on'  \n 'below'",
    "'goes on' -- it's here\r\n-- 'and'\n\t'below'",
    "E'goes on'\n'with \\' escapes'",
    "$$it's$$",
    "$q$a $$ b$q$",
    "$q$a$b$q$",
    "$_9$ $8$ $_9$",
    "$a€١$it's$a€١$",
]
FAST_SECONDS = 3.0


@pytest.mark.parametrize("literal", NUMBERS + STRINGS)
def test_statements_that_differ_in_a_literal_are_one(literal: str) -> None:
    sql = f"SELECT * FROM t1 WHERE a = {literal} AND b2 > 3"
    assert normalise(sql) == "SELECT * FROM t1 WHERE a = ? AND b2 > ?"
    assert fingerprint(sql) == fingerprint("SELECT * FROM t1 WHERE a = 'zzz' AND b2 > 99")


@pytest.mark.parametrize("literal", NUMBERS + STRINGS)
def test_every_kind_of_literal_is_redacted(literal: str) -> None:
    shown = "…" if literal in NUMBERS else "'…'"
    assert (
        redact(f"((t1.a = {literal}) AND (b2 > {literal}))")
        == f"((t1.a = {shown}) AND (b2 > {shown}))"
    )


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT "a""b 1", U&"d\\00e4 1", t1.int8, ST_3DDistance(g, $1::float8) FROM "t\'1"',
        'SELECT "two  spaces", "a\n\tline", "-- 1", "/* 1", "$$ 1", "IN (?, ?)"',
        "SELECT a$$b, a$1$b, été1, t١, a\xa01 FROM t_1",
        "SELECT \xa0\xa0b, ١a, (١)",
        "SELECT $1, $12::int8",
        (
            "SELECT a::numeric(10,2), b::character varying(20), g::geometry(Point,4326),"
            " d::timestamp(3) with time zone"
        ),
    ],
)
def test_names_parameters_and_types_stay(sql: str) -> None:
    assert normalise(sql) == sql
    assert redact(sql) == sql


@pytest.mark.parametrize(
    ("sql", "one"),
    [
        ("SELECT /* a /* b */ c 'x */ 1 -- d\n  +\t2", "SELECT ? + ?"),
        ("SELECT /*/*/ 'x' */ */ 1", "SELECT ?"),
        ("SELECT '-- no comment /*', 2", "SELECT ?, ?"),
        ("SELECT 1 /* never ends", "SELECT ?"),
        ("SELECT 1 /* /* ends once */ 2", "SELECT ?"),
        ("  SELECT a--b\r, 1 -- c", "SELECT a , ?"),
        ("a/**/b", "a b"),
        ("1 - -1", "? - -?"),
        ("", ""),
    ],
)
def test_comments_and_spaces_are_nothing(sql: str, one: str) -> None:
    assert normalise(sql) == one


@pytest.mark.parametrize(
    ("sql", "one"),
    [
        ("a IN (1, 2, 3)", "a IN (?)"),
        ("a IN (1)", "a IN (?)"),
        ("a in ( -1 , +2,3 )", "a in (?)"),
        ("a IN ($1, $2)", "a IN ($1)"),
        ("a IN ($1::double precision, $2::double precision)", "a IN ($1::double precision)"),
        ('a IN ($1::int8::"s"."od""d", $2::int8::"s"."od""d")', 'a IN ($1::int8::"s"."od""d")'),
        ("a IN ('1'::numeric(10,2), '2'::numeric(10,2))", "a IN (?::numeric(10,2))"),
        ("a IN ('x'::text, $2, 'z')", "a IN (?::text)"),
        ("a = ANY (ARRAY[1, 2])", "a = ANY (ARRAY[?])"),
        ("a && ARRAY['{1}'::int4[], '{2}'::int4[]]", "a && ARRAY[?::int4[]]"),
        ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "INSERT INTO t VALUES (?)"),
        (
            "INSERT INTO t VALUES (1), (2), (3) RETURNING f(1, 2)",
            "INSERT INTO t VALUES (?) RETURNING f(?, ?)",
        ),
        ("VALUES (1, 2), (3, now())", "VALUES (?), (?, now())"),
        ("SELECT a IN (1, 2), (3)", "SELECT a IN (?), (?)"),
        ("f(1, 2)", "f(?, ?)"),
        ("min(1, 2) + t.within (1, 2) + a$IN (1, 2)", "min(?, ?) + t.within (?, ?) + a$IN (?, ?)"),
        ("a IN (1, b, 2)", "a IN (?, b, ?)"),
        ("a IN (1, 2", "a IN (?, ?"),
    ],
)
def test_lists_are_one_whatever_their_length(sql: str, one: str) -> None:
    assert normalise(sql) == one
    assert normalise(one) == one


@given(st.lists(st.integers() | st.text(), min_size=1, max_size=30))
def test_a_list_of_any_length_has_one_fingerprint(values: list[int | str]) -> None:
    items = ", ".join(str(each) if isinstance(each, int) else plain(each) for each in values)
    assert fingerprint(f"SELECT a FROM t WHERE b IN ({items})") == fingerprint(
        "SELECT a FROM t WHERE b IN (7)"
    )


def test_a_fingerprint_has_16_hexadecimal_digits_and_tells_statements_apart() -> None:
    assert re.fullmatch("[0-9a-f]{16}", fingerprint("SELECT a"))
    assert fingerprint("SELECT a") == "01aa612dc2f28142"  # the same in every process and release
    assert (
        len(
            {
                fingerprint(sql)
                for sql in ("SELECT a", "SELECT b", "SELECT $1", "SELECT 1", "SELECT \ud800")
            }
        )
        == 5
    )


def test_a_fingerprint_is_computed_once() -> None:
    fingerprint("SELECT once")
    hits = fingerprint.cache_info().hits
    fingerprint("SELECT once")
    assert fingerprint.cache_info().hits == hits + 1
    assert fingerprint.cache_info().maxsize == 1024


SCRAPS = st.lists(
    st.sampled_from(
        [
            *"ab1e.'\"$\\-/*(),[]?: \n\r€",
            "/*",
            "*/",
            "--",
            "$a$",
            "E'",
            "U&'",
            'U&"',
            "0x",
            "::",
            "IN (",
            "ARRAY[",
        ]
    )
    | st.sampled_from(["VALUES (", "::numeric(", "1)", "::int4[]", " varying", "$1", "), (", ", "]),
    max_size=30,
).map("".join)


@given(SCRAPS)
def test_normalising_twice_changes_nothing(sql: str) -> None:
    assert normalise(normalise(sql)) == normalise(sql)


@pytest.mark.parametrize(
    ("condition", "redacted"),
    [
        ("((t.name)::text = 'secret'::text)", "((t.name)::text = '…'::text)"),
        ("(t.geom && '0103000020E6'::geometry) AND (x > '12'::double precision)",
         "(t.geom && '…'::geometry) AND (x > '…'::double precision)"),
        ("(t.id = ANY ('{1,2,3}'::integer[]))", "(t.id = ANY ('…'::integer[]))"),
        ("st_dwithin(t.geom, '01'::geometry, '0'::double precision)",
         "st_dwithin(t.geom, '…'::geometry, '…'::double precision)"),
        ("f(4326)", "f(…)"),
        ("((a)::numeric(10,2) > 5) AND ((b)::character varying(20) = 'x')",
         "((a)::numeric(10,2) > …) AND ((b)::character varying(20) = '…')"),
        ("((t.i)::interval second(2) > '1 day'::interval)", "((t.i)::interval second(…) > '…'::interval)"),
        ("((t.b)::bit(3) = '101'::\"bit\")", "((t.b)::bit(3) = '…'::\"bit\")"),
        ("((t.t1)::text ~~ E'a\\'b'::text)", "((t.t1)::text ~~ '…'::text)"),
        ("a = 'x'::text AND (b > 424242)", "a = '…'::text AND (b > …)"),
        ("a::text IN (42, 43)", "a::text IN (…, …)"),
        ("a /* 'secret' */ = 1 -- secret", "a   = …  "),
        ("'a' -- b\r, 'secret'", "'…'  \r, '…'"),
    ],
)  # fmt: skip
def test_values_are_redacted_and_everything_else_stays(condition: str, redacted: str) -> None:
    assert redact(condition) == redacted


@pytest.mark.parametrize(
    "call",
    [
        "(st_transform(t.geom, 4326) && t.geom)",
        "ST_Transform (t.geom, 4326 )",
        "gis.st_setsrid(t.geom, '3067'::integer)",
        "st_transform(st_setsrid(f(t.a, (t.b)), 3067), 4326)",
        "st_transform(t.geom, t.proj, 4326)",
    ],
)
def test_an_srid_stays(call: str) -> None:
    assert redact(call) == call


@pytest.mark.parametrize(
    ("call", "redacted"),
    [
        ("st_transform('01'::geometry, 4326, 5)", "st_transform('…'::geometry, …, 5)"),
        ("st_transform(t.g, '123456'::text, 4326)", "st_transform(t.g, '…'::text, 4326)"),
        ("st_transform(t.g, '123456'::text)", "st_transform(t.g, '…'::text)"),
        ("st_transform(t.g, '123456')", "st_transform(t.g, '…')"),
        ("st_transform(t.g, E'1234'::integer)", "st_transform(t.g, '…'::integer)"),
        ("st_transform(t.g, 4326 + 5)", "st_transform(t.g, … + …)"),
        ("st_transform(t.g, -5)", "st_transform(t.g, -…)"),
        ("st_transform(t.g, (5))", "st_transform(t.g, (…))"),
        ("st_transform(t.g, f(5, 6))", "st_transform(t.g, f(…, …))"),
        ("st_transform(f(5, 6), 7)", "st_transform(f(…, …), 7)"),
        ("st_transform(t.g, 1234567)", "st_transform(t.g, …)"),
        ("st_transform(t.g, 12.5)", "st_transform(t.g, …)"),
        ("st_setsrid(5)", "st_setsrid(…)"),
        ("my_st_transform(t.g, 4326)", "my_st_transform(t.g, …)"),
        ("'st_transform'(t.g, 4326)", "'…'(t.g, …)"),
        ("st_transform(t.g), (1, 2)", "st_transform(t.g), (…, …)"),
        (", 5) st_transform", ", …) st_transform"),
    ],
)
def test_a_number_that_is_no_srid_is_redacted(call: str, redacted: str) -> None:
    assert redact(call) == redacted


def plain(text: str) -> str:
    """A string literal that follows the standard."""
    return "'" + text.replace("'", "''") + "'"


def escaped(text: str) -> str:
    """A string literal with escapes."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def in_two_lines(text: str) -> str:
    """A string literal with escapes that goes on behind a comment and a line break."""
    middle = len(text) // 2
    return escaped(text[:middle]) + " -- it's\n" + escaped(text[middle:])[1:]


def in_dollars(text: str, tag: str) -> str:
    """A dollar-quoted literal."""
    assume(tag not in text + tag[:-1])
    return tag + text + tag


QUOTES: dict[str, Callable[[str], str]] = {
    "plain": plain,
    "escaped": escaped,
    "escaped and doubled": lambda text: "e" + plain(text.replace("\\", "\\\\")),
    "unicode": lambda text: "U&" + plain(text.replace("\\", "\\\\")),
    "national": lambda text: "N" + plain(text),
    "bits": lambda text: "b" + plain(text),
    "bytes": lambda text: "X" + plain(text),
    "two lines": in_two_lines,
    "dollars": lambda text: in_dollars(text, "$$"),
    "tagged": lambda text: in_dollars(text, "$sql$"),
    "tagged with letters of all kinds": lambda text: in_dollars(text, "$_€١$"),
}
# what an opening quote may be cut off at and still open a literal
OPENING = re.compile(r"(?:[eEbBxXnN]|[uU]&)?'|\$[^$]*\$")
SKELETONS = [
    "((t.name)::text = {}::text)",
    "(t.geom && {}::geometry) AND (x > {}::double precision)",
    '(t.id = ANY ({}::integer[])) AND (t."it\'s ""{{" = $1)',
    "st_dwithin(st_transform(t.geom, 4326), {}::geometry, {}::double precision)",
    "st_transform({}::geometry, {}::text, 4326)",
    "((a)::numeric(10,2) > {}) OR ((b)::character varying(20)={})",
    "CASE WHEN a$$b IN ({},{}) THEN t1.c ELSE {} END",
]
SECRETS = (
    st.text(max_size=40)
    | st.text(alphabet="'\"\\$-/*\n\r()a1 ,:?;€", max_size=40)
    | st.sampled_from(["t.id = 1", "4326"])
)
LITERALS = st.tuples(SECRETS, st.sampled_from(sorted(QUOTES)))


@given(st.sampled_from(SKELETONS), st.lists(LITERALS, min_size=3, max_size=3))
def test_nothing_of_a_quoted_value_survives(skeleton: str, literals: list[tuple[str, str]]) -> None:
    expression = skeleton.format(*(QUOTES[kind](secret) for secret, kind in literals))
    outcome = skeleton.format("'…'", "'…'", "'…'")
    assert redact(expression) == outcome
    assert normalise(expression) == normalise(outcome)
    for secret, _ in literals:
        assert secret in outcome or secret not in redact(expression)


@given(st.sampled_from(SKELETONS), LITERALS, st.data())
def test_a_value_that_never_ends_is_redacted_to_the_end_of_the_text(
    skeleton: str, value: tuple[str, str], data: st.DataObject
) -> None:
    secret, kind = value
    start = skeleton.partition("{}")[0].replace("{{", "{")
    literal = QUOTES[kind](secret)
    opening = OPENING.match(literal)
    assert opening is not None
    cut = data.draw(st.integers(opening.end(), len(literal)))
    expression = start + literal[:cut]
    assert redact(expression).rstrip(" -\n") == start + "'…'"  # half a comment is an operator
    assert normalise(expression).rstrip(" -") == normalise(start + "1")


@given(st.text(alphabet="abc' $1,()", min_size=1, max_size=20))
def test_a_name_that_never_ends_is_redacted_to_the_end_of_the_text(secret: str) -> None:
    assert redact(f'(t."a" = "{secret}') == "(t.\"a\" = '…'"


RUBBISH = [
    "'",
    "''",
    "$$",
    "$a",
    "$a$",
    "/*",
    "/**/",
    "/* ",
    "--",
    "--\n",
    "E'\\",
    "'\n",
    "'a' --\n",
    "1_",
    "1e",
    "1 ",
    '"',
    'U&"',
]
RUBBISH += [
    "(",
    "[",
    ".",
    "a.",
    "::a.",
    '::"a',
    "IN (1,",
    "IN (?::a,",
    "VALUES (1),(",
    "'1'::integer ",
]
KILOBYTES = {each: each * (200_000 // len(each)) for each in RUBBISH} | {
    "nested": "/* " * 33_000 + "*/ " * 33_000,
    "list": "a IN (" + "$1::double precision, " * 9_000 + "1)",
    "open list": "a IN (" + "1," * 100_000,
    "rows": "VALUES (1)" + ", (1, 2)" * 25_000,
    "spaces": "st_transform(a, 1" + " " * 200_000,
    "blank lines": "'" + "\n" * 200_000,
    "casts": "IN (1" + "::a" * 66_000,
}


@pytest.mark.parametrize("name", KILOBYTES)
def test_200_kilobytes_of_anything_take_no_time_worth_speaking_of(name: str) -> None:
    started = time.process_time()
    normalise(KILOBYTES[name])
    redact(KILOBYTES[name])
    assert time.process_time() - started < FAST_SECONDS  # about 0.3; quadratic time is 10 and more


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        (
            "(st_dwithin(t.geom, '01'::geometry, '0'::double precision) AND (f(t.a) > 1))",
            {"st_dwithin", "f"},
        ),
        ("((t.a)::character varying(20) = g /* h( */ ('x'::text))", {"g"}),
        ("(x(1))::interval second(2)", {"x"}),
        ('public."Odd ""name"(1)', {'Odd "name'}),
        ("CASE WHEN (t.a) THEN COALESCE(t.b, 'f(1)'::text) END", set()),
    ],
)
def test_the_functions_of_an_expression_are_found(expression: str, names: set[str]) -> None:
    assert called_functions(expression) == names


def test_the_parameters_of_an_expression_are_found() -> None:
    assert parameters_in("""(t.id > $1) AND ("$2" = '$3'::text) AND (f($14))""") == {"$1", "$14"}
