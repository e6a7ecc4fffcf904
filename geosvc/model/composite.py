"""The members of a composite type, as the catalog describes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TypeRow = Mapping[str, Any]
"""A type in a row of sql/catalog.sql.

`type` is its OID, `members` maps the names of members to the OIDs of their types, and `of` is the
OID of the element type of an array or of the base type of a domain.
"""


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite type. In JSON its values are objects.

    Attributes:
        members: the name of each member in order, and the composite type of its values. This is
            None if the member is no composite type, and no array or domain of one.
    """

    members: tuple[tuple[str, "Composite | None"], ...]


def composite_of(type_oid: int, found: Sequence[TypeRow]) -> Composite | None:
    """The composite type of values, of array elements, or below a domain; None for other types.

    Args:
        found: the type and every type that it contains.
    """
    return _CompositeReader(found).composite_of(type_oid)


class _CompositeReader:
    """Builds each composite type once."""

    def __init__(self, found: Sequence[TypeRow]) -> None:
        self._types = {each["type"]: each for each in found}
        self._known: dict[int, Composite | None] = {}

    def composite_of(self, oid: int) -> Composite | None:
        if oid not in self._known:
            self._known[oid] = self._build(self._types[oid])
        return self._known[oid]

    def _build(self, described: TypeRow) -> Composite | None:
        members = []
        for name, type_oid in (described["members"] or {}).items():
            members.append((name, self.composite_of(type_oid)))
        if members:
            return Composite(tuple(members))
        if described["of"]:
            return self.composite_of(described["of"])
        return None
