"""The limits of a filter.

A filter within its limits is parsed in time proportional to its length, and the parsers, which are
recursive, do not exhaust the stack of Python.
"""

from dataclasses import dataclass
from typing import TypeVar

from geosvc.cql2.tree import Arithmetic, At, Folded, Function, Node, Value
from geosvc.errors import InvalidFilter

AnyNode = TypeVar("AnyNode", bound=Node)
_Nesting = Arithmetic | Folded | Function


@dataclass(frozen=True, slots=True)
class Caps:
    """The limits of a filter.

    Attributes:
        length: of the text in characters, of JSON in bytes.
        depth: how deep parentheses, functions and negations may be nested.
        nodes: how many properties, literals and operators there may be.
    """

    length: int = 65_536
    depth: int = 40
    nodes: int = 10_000


class CapsChecker:
    """Counts the nodes of one filter and measures its depth while a parser makes the tree."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._nodes = 0
        self._depth = 0
        self._heights: dict[int, int] = {}  # by the id of a node

    def check(self, node: AnyNode) -> AnyNode:
        """Counts a new node, and returns it. Raises: InvalidFilter."""
        self._nodes += 1
        if self._nodes > self._caps.nodes:
            raise InvalidFilter(f"the filter has more than {self._caps.nodes} parts", node.at)
        if isinstance(node, _Nesting):
            self._check_height(node)
        return node

    def enter(self, at: At) -> None:
        """Goes one level deeper. Raises: InvalidFilter."""
        self._depth += 1
        if self._depth > self._caps.depth:
            raise self._too_deep(at)

    def leave(self) -> None:
        """Goes one level up."""
        self._depth -= 1

    def _check_height(self, node: _Nesting) -> None:
        """Measures how many levels are below a node.

        The parser of text reads `a + b + c` in a loop, but its tree is nested: a sum of a sum.
        """
        height = 0
        for part in _parts(node):
            height = max(height, self._heights.get(id(part), 0))
        height += 1
        if height > self._caps.depth:
            raise self._too_deep(node.at)
        self._heights[id(node)] = height

    def _too_deep(self, at: At) -> InvalidFilter:
        return InvalidFilter(f"the filter is nested deeper than {self._caps.depth}", at)


def _parts(node: _Nesting) -> tuple[Value, ...]:
    """The nodes directly below a node."""
    if isinstance(node, Arithmetic):
        return node.left, node.right
    if isinstance(node, Folded):
        return (node.text,)
    return node.args
