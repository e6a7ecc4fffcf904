"""Posted features: as they were posted, and as the database takes them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from geosvc.bodies.stated_crs import Stating


class RawFeature(Stating, gc=False):
    """The members as they were posted. PostgreSQL parses the properties, so no digit is lost."""

    geometry: msgspec.Raw = msgspec.Raw(b"null")
    properties: msgspec.Raw = msgspec.Raw(b"null")
    place: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(slots=True)
class Posted:
    """Features that can be stored, one in each row of these lists.

    Attributes:
        indexes: of each in the body.
        geometries: EWKB; None for null.
        properties: a JSON object each, in UTF-8.
        keys: the key values as text, where they come with the feature.
        present: bit masks of the columns with a default that have a value.
        repairs: (index, what was changed).
    """

    indexes: list[int] = field(default_factory=list)
    geometries: list[bytes | None] = field(default_factory=list)
    properties: list[bytes] = field(default_factory=list)
    keys: list[tuple[str, ...] | None] = field(default_factory=list)
    present: list[int] = field(default_factory=list)
    repairs: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.indexes)

    def part(self, rows: Iterable[int]) -> "Posted":
        """The features in some rows, without their repairs."""
        chosen = list(rows)
        return Posted(
            [self.indexes[row] for row in chosen],
            [self.geometries[row] for row in chosen],
            [self.properties[row] for row in chosen],
            [self.keys[row] for row in chosen],
            [self.present[row] for row in chosen],
        )
