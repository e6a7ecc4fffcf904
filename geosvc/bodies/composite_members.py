"""The members of posted composite values. PostgreSQL ignores those that the type does not have."""

from collections.abc import Sequence
from typing import Any

import msgspec

from geosvc.bodies.feature_faults import escape
from geosvc.errors import InvalidFeature
from geosvc.model.collection import Column
from geosvc.model.composite import Composite
from geosvc.model.similar_names import did_you_mean

# The values of numbers do not matter here, and Python cannot hold all of them.
_decoder = msgspec.json.Decoder(float_hook=str)

_Part = tuple[Composite | None, Any, str]  # a type, a value of it, and the pointer to the value


def check_members(columns: Sequence[Column], properties: bytes) -> None:
    """Raises: InvalidFeature for a member that the composite type of its column does not have.

    Args:
        columns: of composite types, or arrays of them.
        properties: a JSON object.
    """
    values = msgspec.json.decode(properties, type=dict[str, msgspec.Raw])
    for column in columns:
        if column.name in values:
            _check(column, values[column.name])


def _check(column: Column, raw: msgspec.Raw) -> None:
    try:
        value = _decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):  # half a character, which PostgreSQL refuses
        return
    # a stack instead of recursion, since values may be nested deep
    unchecked: list[_Part] = [(column.composite, value, "")]
    while unchecked:
        unchecked += _check_part(column, *unchecked.pop())


def _check_part(
    column: Column, composite: Composite | None, value: Any, pointer: str
) -> list[_Part]:
    """Checks the names of the members of one value. Returns: its elements or members."""
    parts: list[_Part] = []
    if composite is None:
        return parts
    if isinstance(value, list):  # an array of any dimension
        for index, element in enumerate(value):
            parts.append((composite, element, f"{pointer}/{index}"))
    elif isinstance(value, dict):
        members = dict(composite.members)
        for name, member in value.items():
            if name not in members:
                raise _unknown_member(column, name, members, pointer)
            parts.append((members[name], member, f"{pointer}/{escape(name)}"))
    return parts


def _unknown_member(
    column: Column, name: str, members: dict[str, Any], pointer: str
) -> InvalidFeature:
    return InvalidFeature(
        f"{column.name}: unknown member {name}{did_you_mean(name, members)}",
        pointer=f"/properties/{escape(column.name)}{pointer}/{escape(name)}",
    )
