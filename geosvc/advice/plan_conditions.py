"""Parses the conditions that EXPLAIN prints into trees of comparisons that an index could find.

EXPLAIN puts every operation into parentheses, so the depth tells AND, OR and operators apart. A
condition that is not understood becomes None: no index helps with it, and no advice is given.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from geosvc.sql.compose import Identifier, Params
from geosvc.sql.literals import tokens

Token = tuple[str, str]
"""(kind, text), as `geosvc.sql.literals.tokens` yields it."""

Kind = Literal["spatial", "equal", "null"]

SPATIAL_FUNCTIONS = frozenset(
    {
        "st_dwithin",
        "st_intersects",
        "st_within",
        "st_contains",
        "st_containsproperly",
        "st_covers",
        "st_coveredby",
        "st_touches",
        "st_crosses",
        "st_overlaps",
        "st_equals",
    }
)
_SPATIAL_OPERATORS = frozenset({"&&", "@", "~"})
_OPERATOR_CHARACTERS = frozenset("+-*/<>=~!@#%^&|`?")
_OPENS, _CLOSES = frozenset("(["), frozenset(")]")
_NAMES = frozenset({"word", "quoted"})
_CONSTANTS = frozenset({"string", "number", "srid", "param"})
_CAST_TOKENS = (3, 5)  # of `::name` and `::schema.name`, whose colons are a token each
_GEOMETRY = re.compile(r"geometry(\([A-Za-z]+,\d+\))?|geography")
_SCHEMA = re.compile(r'(?:"(?:[^"]|"")*"|\w+)\.')


@dataclass(frozen=True, slots=True)
class Expression:
    """A column, or a transformed or cast column.

    Attributes:
        text: as CREATE INDEX takes it.
        srid: the SRID to which the column is transformed; None when it is not.
        casts: the types to which it is cast, in order.
    """

    column: str
    text: str
    srid: int | None = None
    casts: tuple[str, ...] = ()

    @property
    def is_bare(self) -> bool:
        """Whether it is the column itself."""
        return self.srid is None and not self.casts

    @property
    def canonical(self) -> str:
        """A text that is equal for all spellings of the expression.

        EXPLAIN, pg_get_indexdef and CREATE INDEX differ in parentheses.
        """
        return canonical(self.text)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A comparison that an index on the expression finds."""

    kind: Kind
    expression: Expression


@dataclass(frozen=True, slots=True)
class AllOf:
    """Conditions joined by AND: an index for any of them helps."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Conditions joined by OR: indexes help only if each of them has one."""

    parts: "tuple[Condition, ...]"


Condition = Leaf | AllOf | AnyOf | None
"""A condition; None is one that no index helps with."""


def canonical(text: str) -> str:
    """An expression without schemas, parentheses, quotes and spaces."""
    without_schemas = _SCHEMA.sub("", text)
    return re.sub(r'[()\s"]', "", without_schemas).lower()


def unquote(name: str) -> str:
    """The name that a word or a quoted identifier means."""
    if name.startswith('"'):
        return name[1:-1].replace('""', '"')
    return name


def _texts(parts: Sequence[Token]) -> list[str]:
    return [text for _, text in parts]


def _strip_parentheses(parts: Sequence[Token]) -> Sequence[Token]:
    """The tokens without parentheses around all of them."""
    while len(parts) > 1 and parts[0][1] == "(" and _closing(parts, 0) == len(parts) - 1:
        parts = parts[1:-1]
    return parts


def _closing(parts: Sequence[Token], start: int) -> int:
    """The index of the parenthesis that closes the one at `start`."""
    depth = 0
    for index in range(start, len(parts)):
        text = parts[index][1]
        if text in _OPENS:
            depth += 1
        elif text in _CLOSES:
            depth -= 1
        if depth == 0:
            return index
    return len(parts)


def _depths(parts: Sequence[Token]) -> Iterator[int]:
    """The depth of each token in parentheses and CASE."""
    depth = 0
    for kind, text in parts:
        is_word = kind == "word"
        if text in _CLOSES or (is_word and text == "END"):
            depth -= 1
        yield depth
        if text in _OPENS or (is_word and text == "CASE"):
            depth += 1


def _split(parts: Sequence[Token], separator: Token) -> list[Sequence[Token]]:
    """The tokens between the separators that are in no parentheses."""
    pieces: list[Sequence[Token]] = []
    start = 0
    for index, depth in enumerate(_depths(parts)):
        if depth == 0 and parts[index] == separator:
            pieces.append(parts[start:index])
            start = index + 1
    pieces.append(parts[start:])
    return pieces


def _split_comparison(
    parts: Sequence[Token],
) -> tuple[Sequence[Token], str, Sequence[Token]] | None:
    """(left, operator, right) of a comparison with one operator; None for anything else."""
    is_operator: list[bool] = []
    for index, depth in enumerate(_depths(parts)):
        is_operator.append(depth == 0 and parts[index][1] in _OPERATOR_CHARACTERS)
    if True not in is_operator[1:]:
        return None
    start = is_operator.index(True, 1)
    end = start
    while end < len(parts) and is_operator[end]:
        end += 1
    if True in is_operator[end:]:
        return None
    return parts[:start], "".join(_texts(parts[start:end])), parts[end:]


def _split_cast(parts: Sequence[Token]) -> tuple[Sequence[Token], str] | None:
    """(operand, type) when the last operation is a cast."""
    if len(parts) > 1 and parts[-1][0] == "type":
        return parts[:-1], parts[-1][1].removeprefix("::").replace(" ", "")
    for width in _CAST_TOKENS:
        if len(parts) <= width or parts[-1][0] not in _NAMES:
            continue
        texts = _texts(parts[-width:])
        if texts[:2] == [":", ":"]:
            return parts[:-width], "".join(texts[2:])
    return None


def _split_call(parts: Sequence[Token]) -> tuple[str, list[Sequence[Token]]] | None:
    """(name without schema, arguments) of a function call; None for anything else."""
    if len(parts) > 2 and parts[1] == ("other", "."):
        parts = parts[2:]
    if len(parts) < 3 or parts[0][0] not in _NAMES:
        return None
    if parts[1][1] != "(" or _closing(parts, 1) != len(parts) - 1:
        return None
    return unquote(parts[0][1]), _split(parts[2:-1], ("other", ","))


def _is_constant(parts: Sequence[Token]) -> bool:
    """Whether it is a literal or a parameter, perhaps with a cast.

    With COLLATE it is not: that would need an index of the same collation.
    """
    first_kind = ""
    for kind, text in parts:
        if text != "(":
            first_kind = kind
            break
    if first_kind not in _CONSTANTS or ("word", "COLLATE") in parts:
        return False
    for (kind, _), (_, following) in pairwise(parts):
        if kind in _NAMES and following == "(":
            return False
    return True


def _quote(name: str) -> str:
    return Identifier(name).render(Params())


@dataclass(frozen=True, slots=True)
class ConditionParser:
    """Parses the conditions of one scan.

    Args:
        alias: of the relation in the plan; columns of other relations do not count.
        postgis: the schema of PostGIS, for functions and types in the advice.
    """

    alias: str
    postgis: str | None = None

    def parse(self, condition: str) -> Condition:
        """The tree of a condition."""
        parts: list[Token] = []
        for token in tokens(condition):
            if token[0] not in ("space", "comment"):
                parts.append(token)
        return self._parse(parts)

    def _parse(self, parts: Sequence[Token]) -> Condition:
        parts = _strip_parentheses(parts)
        operands_of_and = _split(parts, ("word", "AND"))
        operands_of_or = _split(parts, ("word", "OR"))
        has_and, has_or = len(operands_of_and) > 1, len(operands_of_or) > 1
        if has_and and has_or:
            return None
        if has_and:
            return AllOf(tuple(map(self._parse, operands_of_and)))
        if has_or:
            return AnyOf(tuple(map(self._parse, operands_of_or)))
        return self._parse_leaf(parts)

    def _parse_leaf(self, parts: Sequence[Token]) -> Leaf | None:
        if _texts(parts[-2:]) == ["IS", "NULL"]:
            return _leaf("null", self._expression(parts[:-2]))
        comparison = _split_comparison(parts)
        if comparison is not None:
            return self._parse_comparison(*comparison)
        call = _split_call(parts)
        if call is None:
            return None
        function, arguments = call
        if function not in SPATIAL_FUNCTIONS or len(arguments) < 2:
            return None
        return self._spatial(arguments[0], arguments[1])

    def _parse_comparison(
        self, left: Sequence[Token], operator: str, right: Sequence[Token]
    ) -> Leaf | None:
        if operator in _SPATIAL_OPERATORS:
            return self._spatial(left, right)
        if operator != "=":
            return None
        for operand, other in ((left, right), (right, left)):
            expression = self._expression(operand)
            if expression is not None and _is_constant(other):
                return Leaf("equal", expression)
        return None

    def _spatial(self, left: Sequence[Token], right: Sequence[Token]) -> Leaf | None:
        """A comparison of one column with something that is not of the same relation."""
        if not self._has_column(right):
            return _leaf("spatial", self._expression(left))
        if not self._has_column(left):
            return _leaf("spatial", self._expression(right))
        return None

    def _has_column(self, parts: Sequence[Token]) -> bool:
        for (_, name), following in pairwise(parts):
            if following == ("other", ".") and unquote(name) == self.alias:
                return True
        return False

    def _expression(self, parts: Sequence[Token]) -> Expression | None:
        parts = _strip_parentheses(parts)
        column = self._column(parts)
        if column is not None:
            return column
        cast = _split_cast(parts)
        if cast is not None:
            operand, to_type = cast
            return self._cast(self._expression(operand), to_type)
        call = _split_call(parts)
        if call is None:
            return None
        function, arguments = call
        if function != "st_transform" or len(arguments) != 2:
            return None
        return self._transform(self._expression(arguments[0]), arguments[1])

    def _column(self, parts: Sequence[Token]) -> Expression | None:
        if len(parts) != 3 or parts[1] != ("other", ".") or parts[2][0] not in _NAMES:
            return None
        if unquote(parts[0][1]) != self.alias:
            return None
        name = unquote(parts[2][1])
        return Expression(name, _quote(name))

    def _transform(
        self, operand: Expression | None, srid_argument: Sequence[Token]
    ) -> Expression | None:
        numbers = re.findall(r"\d+", "".join(_texts(srid_argument)))
        if operand is None or operand.srid is not None or len(numbers) != 1:
            return None
        srid = numbers[0]
        text = f"{self._schema_prefix()}ST_Transform({operand.text}, {srid})"
        return replace(operand, text=text, srid=int(srid))

    def _cast(self, operand: Expression | None, to_type: str) -> Expression | None:
        if operand is None:
            return None
        if to_type == "text" and operand.is_bare:
            # EXPLAIN shows a varchar as cast to text; the index is on the column itself
            return replace(operand, casts=("text",))
        name = to_type.rpartition(".")[2]
        if not _GEOMETRY.fullmatch(name):
            return None
        text = f"({operand.text})::{self._schema_prefix()}{name}"
        return replace(operand, text=text, casts=(*operand.casts, name))

    def _schema_prefix(self) -> str:
        if self.postgis is None or self.postgis == "public":
            return ""
        return f"{_quote(self.postgis)}."


def _leaf(kind: Kind, expression: Expression | None) -> Leaf | None:
    if expression is None:
        return None
    return Leaf(kind, expression)
