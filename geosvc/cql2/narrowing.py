"""Checks that a node is of the kind that its operator needs."""

from geosvc.cql2.tree import Condition, Node, Scalar, Value
from geosvc.errors import InvalidFilter


def as_condition(node: Node) -> Condition:
    """The node, if it is a condition. Raises: InvalidFilter."""
    if not isinstance(node, Condition):
        raise InvalidFilter("a condition was expected, such as a comparison", node.at)
    return node


def as_scalar(node: Node) -> Scalar:
    """The node, if it is a single value. Raises: InvalidFilter."""
    if not isinstance(node, Scalar):
        raise InvalidFilter(
            "a single value was expected: a property, a text, a number, a date …", node.at
        )
    return node


def as_value(node: Node) -> Value:
    """The node, if it is a value. Raises: InvalidFilter."""
    if not isinstance(node, Value):
        raise InvalidFilter("a value was expected: a property, a literal, a geometry …", node.at)
    return node
