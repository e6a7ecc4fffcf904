"""SQL composition: nothing that a client or a catalog says becomes SQL text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.sql.compose import (
    SQL,
    Composable,
    Fixed,
    Identifier,
    Param,
    Params,
    Statement,
    compose,
)

NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20
)
VALUES = (
    st.none() | st.integers() | st.text(max_size=30) | st.lists(st.text(max_size=5), max_size=3)
)


def unquote(text: str) -> list[str]:
    """The names of a dotted list of quoted identifiers, read as PostgreSQL's lexer reads it; it is
    nothing else.
    """
    assert re.fullmatch(r'"(?:[^"]|"")+"(?:\."(?:[^"]|"")+")*', text, re.DOTALL), text
    return [name.replace('""', '"') for name in re.findall(r'"((?:[^"]|"")+)"', text, re.DOTALL)]


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_an_identifier_stays_within_its_quotes(names: list[str]) -> None:
    assert unquote(Identifier(*names).render(Params())) == names


@pytest.mark.parametrize("names", [(), ("",), ("a", ""), ("a\0b",), ("a", "\0")])
def test_a_name_that_postgresql_cannot_have_is_no_identifier(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="not an identifier"):
        Identifier(*names)


@given(NAMES, VALUES, VALUES)
def test_a_value_is_sent_apart_from_the_text_whatever_it_holds(
    name: str, first: object, second: object
) -> None:
    part = SQL("SELECT {} FROM t WHERE a = {} AND b = {}").format(
        Identifier(name), Param(first, "text"), Param(second, "int8", Identifier("public", "kind"))
    )
    statement = compose("x", part)
    quoted = Identifier(name).render(Params())
    assert (
        statement.text
        == f'SELECT {quoted} FROM t WHERE a = $1::text AND b = $2::int8::"public"."kind"'
    )
    assert statement.args == (first, second)


@pytest.mark.parametrize(
    "value", ["'; DROP TABLE x; --", "$2", "{}", "{0}", "\\", "%s", "\0", '"', "a' OR '1'='1"]
)
def test_a_hostile_value_leaves_the_text_as_it_is(value: str) -> None:
    harmless = compose("x", SQL("SELECT {}").format(Param("harmless", "text")))
    hostile = compose("x", SQL("SELECT {}").format(Param(value, "text")))
    assert hostile.text == harmless.text == "SELECT $1::text"
    assert hostile.args == (value,)


@pytest.mark.parametrize(
    "name", ["{}", "{0}", "{name}", "}", "{", '{"', "$1", "%s", "a b", "select", 'x" FROM t; --']
)
def test_a_hostile_name_is_never_read_as_a_template(name: str) -> None:
    inner = SQL("t.{} = {}").format(Identifier(name), Param(1, "int4"))
    outer = SQL("({} OR {outer})").format(SQL(" AND ").join([inner, inner]), outer=inner)
    text = compose("x", SQL("SELECT {{}} {}").format(outer)).text
    quoted = '"' + name.replace('"', '""') + '"'
    assert (
        text
        == f"SELECT {{}} (t.{quoted} = $1::int4 AND t.{quoted} = $1::int4 OR t.{quoted} = $1::int4)"
    )


def test_the_same_param_is_sent_once_however_often_it_appears() -> None:
    once, twin = Param("v", "text"), Param("v", "text")
    statement = compose("x", SQL("{} {} {} {again}").format(once, twin, once, again=twin))
    assert statement.text == "$1::text $2::text $1::text $2::text"
    assert statement.args == ("v", "v")


def test_one_value_may_be_sent_as_several_types_of_the_catalog() -> None:
    assert Param(None, "text", Identifier("s", 'od"d')).render(Params()) == '$1::text::"s"."od""d"'


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_params_are_numbered_as_they_are_met_and_without_a_gap(picks: list[int]) -> None:
    pool = [Param(f"v{number}", "text") for number in range(5)]
    statement = compose("x", SQL(", ").join(pool[pick] for pick in picks))
    met = list(dict.fromkeys(picks))
    assert statement.args == tuple(f"v{pick}" for pick in met)
    assert statement.text == ", ".join(f"${met.index(pick) + 1}::text" for pick in picks)


def test_a_brace_is_written_twice() -> None:
    assert compose("x", SQL("'{{}}'")).text == "'{}'"
    assert compose("x", SQL("'{{}}' {}").format(SQL("1"))).text == "'{}' 1"
    assert compose("x", SQL("'{{{}}}'").format(SQL("1"))).text == "'{1}'"


def test_a_brace_is_written_twice_between_parts_as_well() -> None:
    assert compose("x", SQL("}}").join([SQL("a"), SQL("b")])).text == "a}b"


@pytest.mark.parametrize("parts", [(), (SQL("a"),)])
def test_a_place_without_a_part_is_an_index_error(parts: tuple[Composable, ...]) -> None:
    # a StopIteration would end a map() over parts early, and a WHERE would lose its conditions
    with pytest.raises(IndexError):
        SQL("{} {}").format(*parts)


def test_a_named_place_without_a_part_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        SQL("{a} {b}").format(a=SQL("a"))


def test_nothing_joined_is_nothing() -> None:
    assert compose("x", SQL(" AND ").join([])) == Statement("x", "", ())


def test_a_statement_has_its_name_for_the_log() -> None:
    assert compose("items.page", SQL("SELECT 1")) == Statement("items.page", "SELECT 1", ())


def test_a_fixed_part_keeps_the_numbers_of_its_parameters() -> None:
    shared = Param(1, "int4")
    begin = Fixed(SQL("SELECT {}, {}").format(shared, Param(2, "int4")))
    for other in (3, 4):
        whole = SQL("{} WHERE {} = {}").format(begin, shared, Param(other, "int4"))
        statement = compose("x", whole)
        assert statement.text == "SELECT $1::int4, $2::int4 WHERE $1::int4 = $3::int4"
        assert statement.args == (1, 2, other)


def test_a_fixed_part_with_parameters_stands_at_the_begin_only() -> None:
    fixed = Fixed(Param(2, "int4"))
    with pytest.raises(ValueError, match="begin"):
        compose("x", SQL("{} + {}").format(Param(1, "int4"), fixed))
    without = Fixed(SQL("t.{}").format(Identifier("a")))
    assert compose("x", SQL("{} = {}").format(Param(1, "int4"), without)).text == '$1::int4 = t."a"'
