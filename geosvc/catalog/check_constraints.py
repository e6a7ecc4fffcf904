"""Translates CHECK constraints, as PostgreSQL writes them, to bounds of columns.

Only comparisons of columns with constants are translated; everything else is left out. The bounds
never refuse a value that the constraint allows.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from geosvc.model.value_bounds import Number, ValueBounds

DOMAIN_VALUE = "VALUE"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<text>'(?:[^']|'')*')"
    r"|(?P<quoted>\"(?:[^\"]|\"\")*\")"
    r"|(?P<word>[^\W\d][\w$]*)"
    r"|(?P<sign>::|<=|>=|<>|[<>=()\[\],]))"
)
_IS_NOT_NULL = re.compile(
    r"\((?:(?P<quoted>\"(?:[^\"]|\"\")*\")|(?P<word>[^\W\d][\w$]*)) IS NOT NULL\)"
)
_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "double precision", "real"})
_TEXTS = frozenset({"text", "character varying"})
_SAME_VALUE = _TEXTS | {"numeric", "double precision"}  # casts that change no value of a column
_MORE_WORDS = frozenset({"precision", "varying"})
_LENGTHS = frozenset({"length", "char_length", "character_length"})
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "<>": "<>"}
_MAX_DEPTH = 50
_LARGEST = 1 << 63


class _NotTranslatable(Exception):
    """The expression is more than comparisons of columns with constants."""


@dataclass(frozen=True, slots=True)
class _Property:
    """A column, or the length of its text."""

    name: str
    length: bool = False


class _Token(NamedTuple):
    kind: str
    text: str


_Operand = _Property | Number | str | tuple[Number | str, ...]
_BoundsByColumn = Mapping[str, ValueBounds]


def _tokenise(expression: str) -> list[_Token]:
    tokens = []
    position = 0
    end = len(expression.rstrip())
    while position < end:
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise _NotTranslatable
        kind = match.lastgroup
        tokens.append(_Token(kind, match[kind]))
        position = match.end()
    _check_depth(tokens)
    return tokens


def _check_depth(tokens: Sequence[_Token]) -> None:
    """Refuses parentheses so deep that the reader's recursion would not end well."""
    depth = 0
    for token in tokens:
        if token == ("sign", "("):
            depth += 1
        elif token == ("sign", ")"):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise _NotTranslatable


def _number(text: str) -> Number:
    try:
        number = float(text)
        if text.lstrip("+-").isdigit():
            whole = int(text)
            if abs(whole) <= _LARGEST:
                return whole
    except ValueError:
        raise _NotTranslatable from None
    if not math.isfinite(number):
        raise _NotTranslatable
    return number


class _Parser:
    """Parses what `pg_get_expr` writes: comparisons in parentheses, with AND between them."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def parse(self) -> _BoundsByColumn:
        """The bounds that the whole expression sets. Raises: _NotTranslatable."""
        bounds_by_column = self._conditions()
        if not self._is_at_end():
            raise _NotTranslatable
        return bounds_by_column

    def _is_at_end(self) -> bool:
        return self._at == len(self._tokens)

    def _peek(self, *texts: str) -> bool:
        if self._is_at_end():
            return False
        kind, text = self._tokens[self._at]
        return kind in ("sign", "word") and text in texts

    def _next(self) -> _Token:
        if self._is_at_end():
            raise _NotTranslatable
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, text: str) -> None:
        if not self._peek(text):
            raise _NotTranslatable
        self._at += 1

    def _conditions(self) -> _BoundsByColumn:
        found = dict(self._condition())
        while self._peek("AND"):
            self._at += 1
            for name, bounds in self._condition().items():
                found[name] = found.get(name, ValueBounds()) & bounds
        return found

    def _condition(self) -> _BoundsByColumn:
        in_parentheses = self._conditions_in_parentheses()
        if in_parentheses is not None:
            return in_parentheses
        return self._comparison()

    def _conditions_in_parentheses(self) -> _BoundsByColumn | None:
        """Conditions in parentheses; None, at the same index, where those enclose an operand."""
        if not self._peek("("):
            return None
        start = self._at
        try:
            self._at += 1
            found = self._conditions()
            self._take(")")
            if self._is_at_end() or self._peek("AND", ")"):
                return found
        except _NotTranslatable:
            pass  # it may be an operand
        self._at = start
        return None

    def _comparison(self) -> _BoundsByColumn:
        left = self._operand()
        operator = self._next().text
        if operator not in _MIRRORED:
            raise _NotTranslatable
        if self._peek("ANY"):
            right: _Operand = self._any()
        else:
            right = self._operand()
        if isinstance(left, _Property):
            return _compare(left, operator, right)
        if isinstance(right, _Property) and not isinstance(left, tuple):
            return _compare(right, _MIRRORED[operator], left)
        raise _NotTranslatable

    def _any(self) -> tuple[Number | str, ...]:
        self._take("ANY")
        self._take("(")
        values = self._operand()
        self._take(")")
        if not isinstance(values, tuple):
            raise _NotTranslatable
        return values

    def _operand(self) -> _Operand:
        value = self._primary()
        while self._peek("::"):
            self._at += 1
            value = _cast(value, self._type())
        return value

    def _type(self) -> str:
        words = [self._next().text]
        if not self._is_at_end() and self._tokens[self._at].text in _MORE_WORDS:
            words.append(self._next().text)
        if self._peek("["):
            self._at += 1
            self._take("]")
        return " ".join(words)

    def _primary(self) -> _Operand:
        token = self._next()
        if token == ("sign", "("):
            value = self._operand()
            self._take(")")
            return value
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "text":
            return token.text[1:-1].replace("''", "'")
        if token.kind == "quoted":
            return _Property(token.text[1:-1].replace('""', '"'))
        if token.kind != "word":
            raise _NotTranslatable
        return self._named(token.text)

    def _named(self, word: str) -> _Operand:
        if word == "ARRAY":
            return self._array()
        if not self._peek("("):
            return _Property(word)
        self._take("(")
        value = self._operand()
        self._take(")")
        if word not in _LENGTHS or not isinstance(value, _Property) or value.length:
            raise _NotTranslatable
        return _Property(value.name, length=True)

    def _array(self) -> tuple[Number | str, ...]:
        self._take("[")
        values: list[Number | str] = []
        while True:
            value = self._operand()
            if not isinstance(value, int | float | str):
                raise _NotTranslatable
            values.append(value)
            if self._peek("]"):
                self._at += 1
                return tuple(values)
            self._take(",")


def _cast(value: _Operand, type_name: str) -> _Operand:
    if isinstance(value, _Property):
        if type_name not in _SAME_VALUE or value.length:
            raise _NotTranslatable
        return value
    if type_name in _TEXTS and _is_text(value):
        return value
    if type_name in _NUMBERS and isinstance(value, str):
        return _number(value)
    if type_name in _NUMBERS and isinstance(value, int | float):
        return value
    raise _NotTranslatable


def _is_text(value: _Operand) -> bool:
    """Whether a constant is a text or an array of texts."""
    if isinstance(value, tuple):
        return all(isinstance(element, str) for element in value)
    return isinstance(value, str)


def _compare(column: _Property, operator: str, value: _Operand) -> _BoundsByColumn:
    if isinstance(value, _Property):
        raise _NotTranslatable
    if isinstance(value, tuple):
        if column.length or operator != "=" or not value:
            raise _NotTranslatable
        bounds = ValueBounds(one_of=tuple(dict.fromkeys(value)))
    elif column.length:
        bounds = _bound_length(operator, value)
    elif isinstance(value, str):
        bounds = _bound_text(operator, value)
    else:
        bounds = _bound_number(operator, value)
    return {column.name: bounds}


def _bound_number(operator: str, value: Number) -> ValueBounds:
    match operator:
        case "<":
            return ValueBounds(below=value)
        case "<=":
            return ValueBounds(maximum=value)
        case ">":
            return ValueBounds(above=value)
        case ">=":
            return ValueBounds(minimum=value)
        case "=":
            return ValueBounds(one_of=(value,))
    return ValueBounds()


def _bound_length(operator: str, value: Number | str) -> ValueBounds:
    if not isinstance(value, int):
        raise _NotTranslatable
    match operator:
        case "<":
            return ValueBounds(max_length=max(value - 1, 0))
        case "<=":
            return ValueBounds(max_length=max(value, 0))
        case ">":
            return ValueBounds(min_length=max(value + 1, 0))
        case ">=":
            return ValueBounds(min_length=max(value, 0))
        case "=":
            length = max(value, 0)
            return ValueBounds(min_length=length, max_length=length)
    return ValueBounds()


def _bound_text(operator: str, value: str) -> ValueBounds:
    if operator == "=":
        return ValueBounds(one_of=(value,))
    if operator == "<>" and not value:
        return ValueBounds(min_length=1)
    return ValueBounds()


def required_column(expression: str) -> str | None:
    """The column that a CHECK constraint requires to have a value, and nothing else; or None.

    Args:
        expression: as of `parse_check`.
    """
    match = _IS_NOT_NULL.fullmatch(expression)
    if match is None:
        return None
    if match["quoted"] is not None:
        return match["quoted"][1:-1].replace('""', '"')
    return match["word"]


def parse_check(expression: str) -> _BoundsByColumn:
    """The bounds, by column name, that a CHECK constraint sets.

    The mapping is empty where the constraint is more than comparisons of columns with constants.

    Args:
        expression: as `pg_get_expr` writes it; in that of a domain the column is called VALUE.
    """
    try:
        return _Parser(_tokenise(expression)).parse()
    except _NotTranslatable:
        return {}
