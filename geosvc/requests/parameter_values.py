"""Values of parameters that are not specific to one parameter: whole numbers, choices, names."""

import re
from collections.abc import Sequence
from typing import NoReturn

from geosvc.errors import InvalidParameter, UnknownParameter
from geosvc.model.similar_names import did_you_mean
from geosvc.requests.query_string import Values

MAX_INT8 = (1 << 63) - 1
_MAX_INTEGER_CHARACTERS = 30
_ONLY_FORMAT = frozenset({"f"})
_QUOTED = re.compile(r'"((?:[^"]|"")*+)"')
_SIGNS_BEFORE_QUOTES = ('+"', '-"', ' "')


def refuse_value(name: str, expected: str) -> NoReturn:
    """Raises: InvalidParameter, always.

    Args:
        name: of the parameter.
        expected: what it takes, in words.
    """
    raise InvalidParameter(f"{name} takes {expected}", parameter=name)


def refuse_unknown(values: Values, known: frozenset[str] = _ONLY_FORMAT) -> None:
    """Raises: UnknownParameter for the first name that is not known."""
    for name in values:
        if name not in known:
            near = did_you_mean(name, sorted(known))
            raise UnknownParameter(f"unknown parameter {name!r}{near}", parameter=name)


def parse_integer(name: str, text: str, minimum: int, maximum: int = MAX_INT8) -> int:
    """Parses a whole number of ASCII digits. Raises: InvalidParameter."""
    expected = f"a whole number from {minimum}"
    if maximum != MAX_INT8:
        expected += f" to {maximum}"
    is_digits = text.isascii() and text.isdigit()
    if not is_digits or len(text) > _MAX_INTEGER_CHARACTERS:
        refuse_value(name, expected)
    number = int(text)
    if not minimum <= number <= maximum:
        refuse_value(name, expected)
    return number


def parse_choice(values: Values, name: str, choices: Sequence[str], default: str) -> str:
    """One of the choices; the default without the parameter. Raises: InvalidParameter."""
    chosen = values.get(name, default)
    if chosen not in choices:
        refuse_value(name, f"one of: {', '.join(choices)}")
    return chosen


def double_quoted(name: str) -> str:
    """A name in double quotes, as lists of names and CQL2 have it; a quote in it is doubled."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def split_names(parameter: str, text: str) -> list[str]:
    """Splits names at commas. A sign before a name is kept as part of it.

    A name that contains a comma is in double quotes, with `""` for a quote; its sign stands before
    the quotes.

    Raises: InvalidParameter when a quote is not closed.
    """
    names: list[str] = []
    start = 0
    while start < len(text):
        sign = ""
        if text[start : start + 2] in _SIGNS_BEFORE_QUOTES:
            sign = text[start]
            start += 1
        if text.startswith('"', start):
            quoted = _QUOTED.match(text, start)
            if quoted is None:
                refuse_value(parameter, "names with closed quotes")
            name = quoted[1].replace('""', '"')
            comma = text.find(",", quoted.end())
        else:
            comma = text.find(",", start)
            name = text[start:] if comma < 0 else text[start:comma]
        names.append(sign + name)
        if comma == len(text) - 1:
            names.append("")
        if comma < 0:
            break
        start = comma + 1
    return names
