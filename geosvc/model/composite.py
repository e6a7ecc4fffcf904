"""The members of a composite type, as the catalog describes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite type, whose values are objects in JSON.

    Attributes:
        members: their names in order, and what is known of composites within them, in arrays and domains too.
    """

    members: tuple[tuple[str, "Composite | None"], ...]


def composite_of(type_oid: int, found: Sequence[Mapping[str, Any]]) -> Composite | None:
    """The composite that a type is, or that the elements of an array or the values of a domain are; None for others.

    Args:
        found: the type and all within it: `type`, the types of its `members` by name, and of what it is an array or domain.
    """
    types = {each["type"]: each for each in found}
    known: dict[int, Composite | None] = {}

    def look(oid: int) -> Composite | None:
        if oid not in known:
            each = types[oid]
            members = [(name, look(inner)) for name, inner in (each["members"] or {}).items()]
            known[oid] = (
                Composite(tuple(members))
                if each["members"]
                else look(each["of"])
                if each["of"]
                else None
            )
        return known[oid]

    return look(type_oid)
