"""CHECK constraints, as PostgreSQL writes them, to bounds of columns: what translates plainly; everything else is left out.

A translation never refuses what the constraint allows.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from geosvc.model.bounds import Bounds, Number

DOMAIN_VALUE = "VALUE"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)|(?P<text>'(?:[^']|'')*')|(?P<quoted>\"(?:[^\"]|\"\")*\")"
    r"|(?P<word>[^\W\d][\w$]*)|(?P<sign>::|<=|>=|<>|[<>=()\[\],]))"
)
_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "double precision", "real"})
_TEXTS = frozenset({"text", "character varying"})
_SAME_VALUE = _TEXTS | {"numeric", "double precision"}  # casts that change no value of a column
_MORE_WORDS = frozenset({"precision", "varying"})
_LENGTHS = frozenset({"length", "char_length", "character_length"})
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "<>": "<>"}
_MAX_DEPTH = 50
_LARGEST = 1 << 63


class _Unclear(Exception):
    """Something that is not translated."""


@dataclass(frozen=True, slots=True)
class _Property:
    """A column, or the length of its text."""

    name: str
    length: bool = False


class _Token(NamedTuple):
    kind: str
    text: str


_Operand = _Property | Number | str | tuple[Number | str, ...]
_Found = Mapping[str, Bounds]


def _tokens(expression: str) -> list[_Token]:
    found, position, end = [], 0, len(expression.rstrip())
    while position < end:
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise _Unclear
        found.append(_Token(match.lastgroup, match[match.lastgroup]))
        position = match.end()
    depths = accumulate((text == "(") - (text == ")") for kind, text in found if kind == "sign")
    if max(depths, default=0) > _MAX_DEPTH:
        raise _Unclear
    return found


def _number(text: str) -> Number:
    try:
        number = float(text)
        whole = int(text) if text.lstrip("+-").isdigit() else None
    except ValueError:
        raise _Unclear from None
    if whole is not None and abs(whole) <= _LARGEST:
        return whole
    if not math.isfinite(number):
        raise _Unclear
    return number


class _Reader:
    """Reads what `pg_get_expr` writes: comparisons in parentheses, with AND between them."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def read(self) -> _Found:
        """Raises: _Unclear."""
        found = self._conditions()
        if self._at != len(self._tokens):
            raise _Unclear
        return found

    def _peek(self, *texts: str) -> bool:
        if self._at == len(self._tokens):
            return False
        kind, text = self._tokens[self._at]
        return kind in ("sign", "word") and text in texts

    def _next(self) -> _Token:
        if self._at == len(self._tokens):
            raise _Unclear
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, text: str) -> None:
        if not self._peek(text):
            raise _Unclear
        self._at += 1

    def _conditions(self) -> _Found:
        found = dict(self._condition())
        while self._peek("AND"):
            self._at += 1
            for name, bounds in self._condition().items():
                found[name] = found.get(name, Bounds()) & bounds
        return found

    def _condition(self) -> _Found:
        """A comparison; conditions in parentheses when what follows them is no operator."""
        start = self._at
        if self._peek("("):
            try:
                self._at += 1
                found = self._conditions()
                self._take(")")
                if self._at == len(self._tokens) or self._peek("AND", ")"):
                    return found
            except _Unclear:
                pass  # it may be an operand
            self._at = start
        left = self._operand()
        operator = self._next().text
        if operator not in _MIRRORED:
            raise _Unclear
        right = self._any() if self._peek("ANY") else self._operand()
        if isinstance(left, _Property):
            return _compare(left, operator, right)
        if isinstance(right, _Property) and not isinstance(left, tuple):
            return _compare(right, _MIRRORED[operator], left)
        raise _Unclear

    def _any(self) -> tuple[Number | str, ...]:
        self._take("ANY")
        self._take("(")
        values = self._operand()
        self._take(")")
        if not isinstance(values, tuple):
            raise _Unclear
        return values

    def _operand(self) -> _Operand:
        value = self._primary()
        while self._peek("::"):
            self._at += 1
            value = _cast(value, self._type())
        return value

    def _type(self) -> str:
        words = [self._next().text]
        if self._at < len(self._tokens) and self._tokens[self._at].text in _MORE_WORDS:
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
            raise _Unclear
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
            raise _Unclear
        return _Property(value.name, length=True)

    def _array(self) -> tuple[Number | str, ...]:
        self._take("[")
        values: list[Number | str] = []
        while True:
            value = self._operand()
            if not isinstance(value, int | float | str):
                raise _Unclear
            values.append(value)
            if self._peek("]"):
                self._at += 1
                return tuple(values)
            self._take(",")


def _cast(value: _Operand, type_name: str) -> _Operand:
    if isinstance(value, _Property):
        if type_name not in _SAME_VALUE or value.length:
            raise _Unclear
        return value
    if type_name in _TEXTS and (
        isinstance(value, str) or (isinstance(value, tuple) and all(isinstance(v, str) for v in value))
    ):
        return value
    if type_name in _NUMBERS and isinstance(value, str):
        return _number(value)
    if type_name in _NUMBERS and isinstance(value, int | float):
        return value
    raise _Unclear


def _compare(column: _Property, operator: str, value: _Operand) -> _Found:
    if isinstance(value, _Property):
        raise _Unclear
    if isinstance(value, tuple):
        if column.length or operator != "=" or not value:
            raise _Unclear
        return {column.name: Bounds(one_of=tuple(dict.fromkeys(value)))}
    if column.length:
        return {column.name: _bound_length(operator, value)}
    return {column.name: _bound_text(operator, value) if isinstance(value, str) else _bound_number(operator, value)}


def _bound_number(operator: str, value: Number) -> Bounds:
    match operator:
        case "<":
            return Bounds(below=value)
        case "<=":
            return Bounds(maximum=value)
        case ">":
            return Bounds(above=value)
        case ">=":
            return Bounds(minimum=value)
        case "=":
            return Bounds(one_of=(value,))
    return Bounds()


def _bound_length(operator: str, value: Number | str) -> Bounds:
    if not isinstance(value, int):
        raise _Unclear
    least = value + (operator == ">") if operator in (">", ">=", "=") else None
    most = value - (operator == "<") if operator in ("<", "<=", "=") else None
    return Bounds(min_length=None if least is None else max(least, 0), max_length=None if most is None else max(most, 0))


def _bound_text(operator: str, value: str) -> Bounds:
    if operator == "=":
        return Bounds(one_of=(value,))
    if operator == "<>" and not value:
        return Bounds(min_length=1)
    return Bounds()


def parse_check(expression: str) -> _Found:
    """The bounds by column that an expression of `pg_get_expr` sets; of a domain's, the column is called VALUE.

    Nothing where it is more than comparisons of columns with constants.
    """
    try:
        return _Reader(_tokens(expression)).read()
    except _Unclear:
        return {}
