"""What every kind of file is read as."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from geosvc.sources.schema import SourceSchema


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Some features in a row.

    Attributes:
        geometries: EWKB with the SRID, 2D or with heights, of the type of the schema.
        properties: JSON objects whose members are called as the columns, for json_to_recordset; numbers have the digits that
            they have in the file, bytes are base64, what is missing is NULL.
        first: the index in the file of the first, from 0.
    """

    geometries: list[bytes | None]
    properties: list[bytes]
    first: int

    def __len__(self) -> int:
        return len(self.geometries)


class Source(Protocol):
    """A file of features, or one layer of it."""

    @property
    def schema(self) -> SourceSchema:
        """What the features are like: all of them, for the whole file was looked at."""
        ...

    @property
    def done_bytes(self) -> int:
        """How much of the file `batches` has read, of `schema.bytes`."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What is lost on the way, for a person; complete when the features have been read."""
        ...

    def batches(self, rows: int = 5000, into: SourceSchema | None = None) -> Iterator[FeatureBatch]:
        """The features from the first on, `rows` at a time, in the order of the file.

        Args:
            into: what they are to fit: names and types of columns, which are found by `SourceColumn.source`; type, heights and
                SRID of geometries, which are transformed, or taken to be in it when the file does not say. None: the file's
                own.
        Raises: SourceError.
        """
        ...
