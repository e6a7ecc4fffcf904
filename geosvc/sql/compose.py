"""SQL composed of safe parts: templates in the source code, identifiers, and parameters.

    SQL("SELECT {} FROM {} WHERE id = {}").format(
        Identifier("name"), Identifier("public", "t"), Param(7, "int8")
    )

A value never becomes SQL text: a `Param` is rendered as `$n::type`. The same `Param` object is sent
once, however often the statement contains it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from string import Formatter
from typing import LiteralString

from geosvc.errors import InvalidValue

MAX_PARAMS = 32_767  # PostgreSQL's protocol counts them in 16 bits


class Composable:
    """A part of an SQL text."""

    __slots__ = ()

    def render(self, params: "Params") -> str:
        """The part as SQL text; parameters are added to `params`."""
        raise NotImplementedError


@dataclass(slots=True)
class Params:
    """The parameters of a statement, collected while it is rendered.

    Attributes:
        values: in the order of their numbers.
        numbers: the number of each Param, by its id().
    """

    values: list[object] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)

    def number(self, param: "Param") -> int:
        """The n in `$n` of a parameter; a new one gets the next number."""
        known = self.numbers.get(id(param))
        if known is not None:
            return known
        self.values.append(param.value)
        number = len(self.values)
        self.numbers[id(param)] = number
        return number


@dataclass(frozen=True, slots=True)
class SQL(Composable):
    """SQL from the source code, with placeholders `{}` and `{name}`. A brace is written twice."""

    template: LiteralString

    def format(self, *parts: Composable, **named: Composable) -> "Composed":
        """Replaces the placeholders by parts.

        Raises: IndexError or KeyError when a part is missing.
        """
        pieces: list[Composable | str] = []
        positional = iter(parts)
        for text, name in _parse_template(self.template):
            if text:
                pieces.append(text)
            if name is None:
                continue
            if name:
                pieces.append(named[name])
            else:
                pieces.append(self._take_next(positional))
        return Composed(tuple(pieces))

    def _take_next(self, parts: Iterator[Composable]) -> Composable:
        # It may not raise StopIteration: in a generator of parts that would end the loop, and the
        # statement would lose conditions.
        for part in parts:
            return part
        raise IndexError(f"a part is missing in {self.template!r}")

    def join(self, parts: Iterable[Composable]) -> "Composed":
        """Joins parts, with this text between them."""
        pieces: list[Composable | str] = []
        for part in parts:
            if pieces:
                pieces.append(self)
            pieces.append(part)
        return Composed(tuple(pieces))

    def render(self, params: Params) -> str:
        """The template itself."""
        return self.template.replace("{{", "{").replace("}}", "}")


@cache  # the source code has a limited number of templates
def _parse_template(template: LiteralString) -> tuple[tuple[str, str | None], ...]:
    """(text, placeholder after it) of each piece; the placeholder is "" for `{}`, None for none."""
    return tuple((text, name) for text, name, _, _ in Formatter().parse(template))


class Fixed(Composable):
    """A part that is rendered once, however many statements begin with it.

    A part without parameters may stand anywhere, one with parameters only at the begin, since the
    numbers of its parameters are fixed as well.
    """

    __slots__ = ("_params", "_part", "_text")

    def __init__(self, part: Composable) -> None:
        self._part = part  # keeps the id() of each Param
        self._params = Params()
        self._text = part.render(self._params)

    def render(self, params: Params) -> str:
        """The text. Raises: ValueError when its parameters cannot have their numbers."""
        if self._params.values:
            if params.values:
                raise ValueError("a fixed part with parameters stands at the begin of a statement")
            params.values += self._params.values
            params.numbers.update(self._params.numbers)
        return self._text


@dataclass(frozen=True, slots=True)
class Composed(Composable):
    """A sequence of parts."""

    pieces: tuple[Composable | str, ...]

    def render(self, params: Params) -> str:
        """All parts, one after the other."""
        texts = []
        for piece in self.pieces:
            if isinstance(piece, str):
                texts.append(piece)
            else:
                texts.append(piece.render(params))
        return "".join(texts)


@dataclass(frozen=True, slots=True, init=False)
class Identifier(Composable):
    """A quoted name, such as a column; several names are joined by dots."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        if not names or any(not name or "\0" in name for name in names):
            raise ValueError(f"not an identifier: {names!r}")
        object.__setattr__(self, "names", names)

    def render(self, params: Params) -> str:
        """The names in double quotes."""
        quoted = []
        for name in self.names:
            doubled = name.replace('"', '""')
            quoted.append(f'"{doubled}"')
        return ".".join(quoted)


@dataclass(frozen=True, slots=True, eq=False)
class Param(Composable):
    """A value that is sent separately from the SQL text.

    Attributes:
        value: asyncpg must be able to encode it as `type`.
        type: the PostgreSQL type as which it is sent; a literal in the source code.
        cast: the type to which the statement casts it, such as the type of a column.
    """

    value: object
    type: LiteralString
    cast: Identifier | None = None

    def render(self, params: Params) -> str:
        """`$n::type`, or `$n::type::"schema"."name"`."""
        text = f"${params.number(self)}::{self.type}"
        if self.cast is None:
            return text
        return f"{text}::{self.cast.render(params)}"


@dataclass(frozen=True, slots=True)
class NumberLiteral(Composable):
    """An integer that geosvc chose. For DDL and bodies of functions, which have no parameters."""

    value: int

    def render(self, params: Params) -> str:
        """Its digits."""
        return str(int(self.value))


@dataclass(frozen=True, slots=True)
class DollarQuoted(Composable):
    """A text constant for DDL, which has no parameters: the body of a function, or a comment.

    The tag does not occur in the content, so that the content cannot end the constant.

    Attributes:
        content: SQL, or any text.
    """

    content: Composable | str

    def render(self, params: Params) -> str:
        """The content between two tags. Raises: ValueError when it has parameters or NUL."""
        own_params = Params()
        if isinstance(self.content, str):
            text = self.content
        else:
            text = self.content.render(own_params)
        if own_params.values or "\0" in text:
            raise ValueError("a text in dollar quotes has neither parameters nor NUL")
        tag = _unused_tag(text)
        return f"{tag}{text}{tag}"


def _unused_tag(text: str) -> str:
    """A dollar quote that the text does not contain, not even without its last character."""
    number = 0
    while f"$geosvc{number}" in text:
        number += 1
    return f"$geosvc{number}$"


APPLICATION_NAME = "geosvc"
_TAG = Param(APPLICATION_NAME, "text")


class _RequestTag(Composable):
    """A condition that is always true and sets application_name while the statement runs.

    So pg_stat_activity and the log of the server name the request. PostgreSQL evaluates the
    condition once, before it reads a row.
    """

    __slots__ = ()

    def render(self, params: Params) -> str:
        return f"(SELECT set_config('application_name', {_TAG.render(params)}, true)) IS NOT NULL"


REQUEST_TAG = _RequestTag()


class _PlannedByValues(Composable):
    """A condition that is always true and lets PostgreSQL plan the statement for its values.

    PostgreSQL keeps the plan of a prepared statement for all values, if that costs no more than
    the plans for some values did (plan_cache_mode = auto). It cannot estimate an unknown box, so
    the kept plan seems cheap. With this condition it seems to cost more than any other. When the
    values are known, the planner removes the condition before it plans anything.
    """

    __slots__ = ()

    def render(self, params: Params) -> str:
        return f"({_TRUE.render(params)} OR {_COSTLY})"


_TRUE = Param(True, "bool")
_COSTLY = "(SELECT count(*) FROM generate_series(1::int8, 9000000000000000000)) > 0"
PLANNED_BY_VALUES = _PlannedByValues()


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with its arguments.

    Attributes:
        name: in logs and metrics, such as `items.page`.
        text: SQL with `$1` to `$n`.
        args: the values of `$1` to `$n`.
        tag: the index in `args` of the application name; None without a REQUEST_TAG.
        shape: distinguishes statements of the same name with different SQL.
    """

    name: str
    text: str
    args: Sequence[object] = ()
    tag: int | None = None
    shape: str = ""

    def args_for(self, request_id: str) -> Sequence[object]:
        """The arguments, with the id of a request in the application name."""
        if self.tag is None:
            return self.args
        args = list(self.args)
        args[self.tag] = f"{APPLICATION_NAME}/{request_id}"
        return tuple(args)


def compose(name: str, part: Composable, shape: str = "") -> Statement:
    """Renders a part as a Statement.

    Raises: InvalidValue when it has more parameters than PostgreSQL accepts.
    """
    params = Params()
    text = part.render(params)
    if len(params.values) > MAX_PARAMS:
        raise InvalidValue(
            f"the request has more values than the {MAX_PARAMS} that the database takes at once"
        )
    tag = None
    if id(_TAG) in params.numbers:
        tag = params.numbers[id(_TAG)] - 1
    return Statement(name, text, tuple(params.values), tag, shape)
