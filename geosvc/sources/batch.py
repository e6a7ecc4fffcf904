"""A batch of features, and the interface of every kind of file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from geosvc.sources.schema import SourceSchema
from geosvc.sources.shapes import LocateFeature


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Consecutive features of a file.

    Attributes:
        geometries: EWKB with the SRID, with or without Z, of the geometry type of the schema.
        properties: JSON objects for json_to_recordset. The members have the names of the columns;
            numbers have the digits of the file, bytes are base64, missing values are NULL.
        first: the number in the file of the first feature, from 0.
        where: names the feature at an index of the batch, for a person.
    """

    geometries: list[bytes | None]
    properties: list[bytes]
    first: int
    where: LocateFeature = str

    def __len__(self) -> int:
        return len(self.geometries)


class Source(Protocol):
    """A file of features, or one layer of it."""

    @property
    def schema(self) -> SourceSchema:
        """The columns and the geometry type, which fit all features of the file."""
        ...

    @property
    def done_bytes(self) -> int:
        """How many of the `schema.bytes` bytes of the file `batches` has read."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes about values that are changed or lost; complete when all features are read."""
        ...

    def batches(self, rows: int = 5000, into: SourceSchema | None = None) -> Iterator[FeatureBatch]:
        """The features from the first on, `rows` at a time, in the order of the file.

        Args:
            into: what the features must fit. Its columns give names and types, and are found by
                `SourceColumn.source`. Geometries get its type, its Z and its SRID: they are
                transformed, or assumed to be in that CRS when the file does not say. None: the
                file's own schema.
        Raises: SourceError.
        """
        ...
