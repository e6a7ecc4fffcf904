"""What both parsers make their trees with: literals that are checked, parts that fit together, and limits.

A filter within its limits is parsed in time proportional to its length, and no deeper than Python's stack allows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Protocol, TypeVar

from geosvc.cql2.tree import (
    CONDITIONS,
    SCALARS,
    VALUES,
    Arithmetic,
    At,
    Condition,
    Date,
    Folded,
    Function,
    Geometry,
    Node,
    Scalar,
    Timestamp,
    Value,
)
from geosvc.errors import InvalidFilter

MIN_EXPONENT, MAX_EXPONENT = -324, 308  # of a double
MAX_DIGITS = 100
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?[Zz]", re.ASCII
)
Made = TypeVar("Made", bound=Node)


@dataclass(frozen=True, slots=True)
class Caps:
    """What a filter may be at the most.

    Attributes:
        length: characters of text, bytes of JSON.
        depth: parentheses, functions and negations within each other.
        nodes: properties, literals, operators.
    """

    length: int = 65_536
    depth: int = 40
    nodes: int = 10_000


class GeometryReader(Protocol):
    """Makes geometry literals: checks them, and knows the CRS that they are in."""

    def geometry(self, geojson: bytes, at: At) -> Geometry:
        """Raises: InvalidFilter."""
        ...

    def box(self, numbers: Sequence[float], at: At) -> Geometry:
        """Of 4 or 6 numbers, as the parameter `bbox`. Raises: InvalidFilter."""
        ...


class Builder:
    """Counts what a filter is made of, and refuses what is beyond its caps."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._nodes = 0
        self._depth = 0
        self._heights: dict[int, int] = {}

    def made(self, node: Made) -> Made:
        """The node, which is counted. Raises: InvalidFilter."""
        self._nodes += 1
        if self._nodes > self._caps.nodes:
            raise InvalidFilter(f"the filter has more than {self._caps.nodes} parts", node.at)
        if isinstance(node, Arithmetic | Folded | Function):
            self._raise(node)
        return node

    def _raise(self, node: Arithmetic | Folded | Function) -> None:
        """Long sums are read without nesting, and yet are nested: `a + b + c` is a sum of a sum."""
        height = 1 + max((self._heights.get(id(part), 0) for part in _parts(node)), default=0)
        if height > self._caps.depth:
            raise InvalidFilter(f"the filter is nested deeper than {self._caps.depth}", node.at)
        self._heights[id(node)] = height

    def enter(self, at: At) -> None:
        """One level deeper. Raises: InvalidFilter."""
        self._depth += 1
        if self._depth > self._caps.depth:
            raise InvalidFilter(f"the filter is nested deeper than {self._caps.depth}", at)

    def leave(self) -> None:
        """One level up."""
        self._depth -= 1


def _parts(node: Arithmetic | Folded | Function) -> "tuple[Value, ...]":
    if isinstance(node, Arithmetic):
        return node.left, node.right
    return (node.text,) if isinstance(node, Folded) else node.args


def condition(node: Node) -> Condition:
    """The node, if it is one that can hold or not. Raises: InvalidFilter."""
    if not isinstance(node, CONDITIONS):
        raise InvalidFilter("a condition was expected, such as a comparison", node.at)
    return node


def scalar(node: Node) -> Scalar:
    """The node, if it is a single value. Raises: InvalidFilter."""
    if not isinstance(node, SCALARS):
        raise InvalidFilter(
            "a single value was expected: a property, a text, a number, a date …", node.at
        )
    return node


def value_of(node: Node) -> Value:
    """The node, if it is no predicate. Raises: InvalidFilter."""
    if not isinstance(node, VALUES):
        raise InvalidFilter("a value was expected: a property, a literal, a geometry …", node.at)
    return node


def make_number(text: str, at: At) -> Decimal:
    """A number with all its digits, in the range of a double. Raises: InvalidFilter."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise InvalidFilter("the number cannot be read", at) from None
    exponent = number.adjusted() if number else 0
    if (
        not number.is_finite()
        or not MIN_EXPONENT <= exponent <= MAX_EXPONENT
        or len(number.as_tuple().digits) > MAX_DIGITS
    ):
        raise InvalidFilter("the number is out of range", at)
    return number


def make_date(text: str, at: At) -> date:
    """A day, such as 2026-11-21 (RFC 3339 full-date). Raises: InvalidFilter."""
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise InvalidFilter(f"{text} is no day of the calendar", at) from None
    raise InvalidFilter("a date was expected, such as 2026-11-21", at)


def make_timestamp(text: str, at: At) -> datetime:
    """An instant in UTC, such as 2026-11-21T12:00:00Z (RFC 3339 date-time, with Z). Raises: InvalidFilter."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise InvalidFilter("a timestamp in UTC was expected, such as 2026-11-21T12:00:00Z", at)
    day, clock, fraction = match.groups()
    leap = clock.endswith(":60")
    try:
        instant = datetime.fromisoformat(f"{day}T{clock[:-2] + '59' if leap else clock}").replace(
            tzinfo=UTC
        )
    except ValueError:
        raise InvalidFilter(f"{text} is no instant of the calendar", at) from None
    return instant + timedelta(microseconds=int(fraction[1:7].ljust(6, "0")) if fraction else 0)


def make_edge(text: str, at: At) -> Scalar | None:
    """An end of an interval: a date, a timestamp, or `..` for none. Raises: InvalidFilter."""
    if text == "..":
        return None
    if "T" in text.upper():
        return Timestamp(make_timestamp(text, at), at=at)
    return Date(make_date(text, at), at=at)
