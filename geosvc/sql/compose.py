"""SQL composed of parts that cannot inject: templates from the source, identifiers from the catalog, parameters.

    SQL("SELECT {} FROM {} WHERE id = {}").format(Identifier("name"), Identifier("public", "t"), Param(7, "int8"))

A value never becomes SQL text: a `Param` is rendered as `$n::type`, and the same `Param` object is sent once however
often it appears.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from string import Formatter
from typing import LiteralString

from geosvc.errors import InvalidValue

MAX_PARAMS = 32_767  # what PostgreSQL's protocol can count


class Composable:
    """A part of an SQL text."""

    __slots__ = ()

    def render(self, params: "Params") -> str:
        """The part as SQL text; parameters are added to `params`."""
        raise NotImplementedError


@dataclass(slots=True)
class Params:
    """The parameters met so far, in the order of their numbers."""

    values: list[object] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)

    def number(self, param: "Param") -> int:
        """The `$n` of this parameter object."""
        if id(param) not in self.numbers:
            self.values.append(param.value)
            self.numbers[id(param)] = len(self.values)
        return self.numbers[id(param)]


@cache  # as many as there are in the source
def _parsed(template: LiteralString) -> tuple[tuple[str, str | None], ...]:
    return tuple((text, name) for text, name, _, _ in Formatter().parse(template))


@dataclass(frozen=True, slots=True)
class SQL(Composable):
    """A piece of SQL from the source code; `{}` and `{name}` are places for parts, a brace is written twice."""

    template: LiteralString

    def format(self, *parts: Composable, **named: Composable) -> "Composed":
        """Fills the places. Raises: IndexError or KeyError when a part is missing."""
        pieces: list[Composable | str] = []
        positional = iter(parts)
        for text, name in _parsed(self.template):
            if text:
                pieces.append(text)
            if name is not None:
                pieces.append(named[name] if name else self._next(positional))
        return Composed(tuple(pieces))

    def _next(self, parts: Iterator[Composable]) -> Composable:
        # a StopIteration would end a generator of parts early, and a WHERE would lose its conditions
        for part in parts:
            return part
        raise IndexError(f"a part is missing in {self.template!r}")

    def join(self, parts: Iterable[Composable]) -> "Composed":
        """The parts with this text between them."""
        pieces: list[Composable | str] = []
        for part in parts:
            if pieces:
                pieces.append(self)
            pieces.append(part)
        return Composed(tuple(pieces))

    def render(self, params: Params) -> str:
        """The template itself."""
        return self.template.replace("{{", "{").replace("}}", "}")


@dataclass(frozen=True, slots=True)
class Composed(Composable):
    """Parts in a row."""

    pieces: tuple[Composable | str, ...]

    def render(self, params: Params) -> str:
        """All parts, one after the other."""
        return "".join(
            piece if isinstance(piece, str) else piece.render(params) for piece in self.pieces
        )


@dataclass(frozen=True, slots=True, init=False)
class Identifier(Composable):
    """A name from the catalog, quoted; several names are joined by dots."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        if not names or any(not name or "\0" in name for name in names):
            raise ValueError(f"not an identifier: {names!r}")
        object.__setattr__(self, "names", names)

    def render(self, params: Params) -> str:
        """The names in double quotes."""
        return ".".join('"' + name.replace('"', '""') + '"' for name in self.names)


@dataclass(frozen=True, slots=True, eq=False)
class Param(Composable):
    """A value, sent apart from the text.

    Args:
        value: what asyncpg can encode for `type`.
        type: the PostgreSQL type it is sent as, from the source code.
        cast: a type from the catalog that it is cast to.
    """

    value: object
    type: LiteralString
    cast: Identifier | None = None

    def render(self, params: Params) -> str:
        """`$n::type`, or `$n::type::"schema"."name"`."""
        text = f"${params.number(self)}::{self.type}"
        return text if self.cast is None else f"{text}::{self.cast.render(params)}"


@dataclass(frozen=True, slots=True)
class NumberLiteral(Composable):
    """A whole number of geosvc's own, where a parameter cannot stand: in DDL and in the bodies of functions."""

    value: int

    def render(self, params: Params) -> str:
        """Its digits."""
        return str(int(self.value))


@dataclass(frozen=True, slots=True)
class DollarQuoted(Composable):
    """A text constant where a parameter cannot stand, such as the body of a function or a comment: another part, or a text.

    The tag is one that does not occur in it, so that nothing in it can end it.
    """

    content: Composable | str

    def render(self, params: Params) -> str:
        """The content between two tags. Raises: ValueError where it has parameters, which nobody would bind."""
        inside = Params()
        text = self.content if isinstance(self.content, str) else self.content.render(inside)
        if inside.values or "\0" in text:
            raise ValueError("a text in dollar quotes has neither parameters nor NUL")
        tag = next(tag for tag in map("$geosvc{}$".format, count()) if tag[:-1] not in text)
        return f"{tag}{text}{tag}"


APPLICATION_NAME = "geosvc"
_TAG = Param(APPLICATION_NAME, "text")


class _RequestTag(Composable):
    """A condition that is true and tells the server which request the statement is for, as the session's application_name
    while the statement runs: for pg_stat_activity and the server's log. PostgreSQL evaluates it once, before it reads a row.
    """

    __slots__ = ()

    def render(self, params: Params) -> str:
        return f"(SELECT set_config('application_name', {_TAG.render(params)}, true)) IS NOT NULL"


REQUEST_TAG = _RequestTag()


@dataclass(frozen=True, slots=True)
class Statement:
    """An SQL text that is ready to run.

    Attributes:
        name: what logs and metrics call it, such as `items.page`.
        text: SQL with `$1` to `$n`.
        args: the values of `$1` to `$n`.
        shape: what makes it another statement than others of its name.
        tag: the place among them of the request tag; None when it has none.
    """

    name: str
    text: str
    args: Sequence[object] = ()
    tag: int | None = None
    shape: str = ""

    def tagged(self, request_id: str) -> Sequence[object]:
        """The arguments with the id of the request that it runs for."""
        if self.tag is None:
            return self.args
        return (
            *self.args[: self.tag],
            f"{APPLICATION_NAME}/{request_id}",
            *self.args[self.tag + 1 :],
        )


def compose(name: str, part: Composable, shape: str = "") -> Statement:
    """Renders `part` into a Statement called `name`.

    Raises: InvalidValue where it has more parameters than PostgreSQL takes.
    """
    params = Params()
    text = part.render(params)
    if len(params.values) > MAX_PARAMS:
        raise InvalidValue(
            f"the request has more values than the {MAX_PARAMS} that the database takes at once"
        )
    number = params.numbers.get(id(_TAG))
    return Statement(
        name, text, tuple(params.values), None if number is None else number - 1, shape
    )
