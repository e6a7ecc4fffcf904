"""The options of `geosvc load`, and the files that it was given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from geosvc.errors import StartError
from geosvc.settings import Settings
from geosvc.sources import Source
from geosvc.sources.schema import MAX_NAME_BYTES, ColumnType

ONE_OBJECT_HINT = "--json properties keeps all properties in one column"


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Which files are loaded, and into which table.

    Attributes:
        collection: the table, or schema.table.
        srid: of files that do not say.
        layer: of files that have several.
        encoding: of texts, where the files do not say, or say it wrongly.
        types: of columns, by their names in the files; `*` for all others.
        json_column: takes all properties as one object, instead of columns.
        append: the table exists, and gets more rows.
        replace: the table is dropped if it exists; neither: it must not exist.
    """

    files: Sequence[Path]
    collection: str
    srid: int | None = None
    layer: str | None = None
    encoding: str | None = None
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    json_column: str | None = None
    append: bool = False
    replace: bool = False

    def table(self, settings: Settings) -> tuple[str, str]:
        """The schema and the name of the table. Raises: StartError."""
        schema, _, name = self.collection.rpartition(".")
        is_name = 0 < len(name.encode()) <= MAX_NAME_BYTES and "\0" not in name
        if not is_name or self.collection.startswith("."):
            raise StartError(
                f"{self.collection!r} is not a name of a table: "
                f"1 to {MAX_NAME_BYTES} bytes, or SCHEMA.TABLE"
            )
        return schema or settings.schemas[0], name


@dataclass(frozen=True, slots=True)
class FileState:
    """What changes when a file is written to."""

    bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileState":
        """The state of a file. Raises: StartError when it does not exist."""
        try:
            status = path.stat()
        except OSError as error:
            raise StartError(f"{path.name}: {error.strerror}") from None
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file whose schema was read.

    Attributes:
        state: before it was opened.
    """

    path: Path
    state: FileState
    source: Source
