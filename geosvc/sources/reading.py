"""The bytes of a file, inflated as they are read."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from geosvc.sources.errors import SourceError

PIECE_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"


class _Counted(io.FileIO):
    """A file that counts what was read of it."""

    done = 0

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:  # type: ignore[override]  # any buffer, which Python 3.11 has no type for
        read = super().readinto(buffer)
        self.done += read or 0
        return read


class FileReader:
    """Reads a file from the beginning, as often as it is asked to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: _Counted | None = None
        with self._refusals():
            self.bytes = path.stat().st_size
            with path.open("rb") as file:
                self._compressed = file.read(len(_GZIP)) == _GZIP

    @property
    def done_bytes(self) -> int:
        """How much of the file was read, as it lies there."""
        return 0 if self._file is None else min(self._file.done, self.bytes)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise SourceError(f"{self.path.name}: the compressed file is corrupt or cut off") from None
        except OSError as error:
            raise SourceError(f"{self.path.name}: {error.strerror or type(error).__name__}") from None

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file's content. Raises: SourceError, for what is read in the block."""
        with self._refusals(), _Counted(self.path) as file:
            self._file = file
            if not self._compressed:
                yield io.BufferedReader(file, PIECE_BYTES)
                return
            with gzip.GzipFile(fileobj=io.BufferedReader(file, PIECE_BYTES), mode="rb") as content:
                yield cast("BinaryIO", content)

    def head(self, size: int = PIECE_BYTES) -> bytes:
        """How the content begins."""
        with self.open() as content:
            return content.read(size)

    def pieces(self) -> Iterator[bytes]:
        """The content, PIECE_BYTES at a time."""
        with self.open() as content:
            while piece := content.read(PIECE_BYTES):
                yield piece
