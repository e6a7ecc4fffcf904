"""The content of a file: inflated as it is read, and converted to UTF-8 from other encodings."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from geosvc.sources.source_error import SourceError

PIECE_BYTES = 1 << 20
ENCODING_HINT = "name its encoding with --encoding, such as --encoding windows-1252"
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class _CountingFile(io.FileIO):
    """A file that counts the bytes that were read of it."""

    done = 0

    # Python 3.11 has no type for any buffer.
    def readinto(  # type: ignore[override]
        self, buffer: bytearray | memoryview, /
    ) -> int | None:
        read = super().readinto(buffer)
        self.done += read or 0
        return read


class _Utf8Reader(io.RawIOBase):
    """A text of some encoding, as UTF-8."""

    def __init__(self, content: BinaryIO, encoding: str) -> None:
        self._content = content
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._waiting = b""
        self._ended = False

    def readable(self) -> bool:
        """Always true: it can be read."""
        return True

    def readinto(  # type: ignore[override]
        self, buffer: bytearray | memoryview, /
    ) -> int:
        """Fills the buffer as far as possible. Raises: UnicodeError."""
        while not self._waiting and not self._ended:
            piece = self._content.read(PIECE_BYTES)
            self._ended = not piece
            self._waiting = self._decoder.decode(piece, final=self._ended).encode()
        size = min(len(buffer), len(self._waiting))
        buffer[:size] = self._waiting[:size]
        self._waiting = self._waiting[size:]
        return size


class FileReader:
    """Reads a file from the beginning, as often as needed.

    Args:
        encoding: of a text; None: UTF-8, or UTF-16 or UTF-32 where a byte order mark says so.

    Attributes:
        bytes: the size of the file.
    Raises: SourceError.
    """

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path = path
        self._file: _CountingFile | None = None
        self._encoding: str | None = None
        with self._errors():
            self.bytes = path.stat().st_size
            with path.open("rb") as file:
                self._compressed = file.read(len(_GZIP)) == _GZIP
        self._encoding = encoding or _marked_encoding(self.head(4))

    @property
    def done_bytes(self) -> int:
        """How many bytes of the file on disk were read."""
        if self._file is None:
            return 0
        return min(self._file.done, self.bytes)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raises what fails in the block as a SourceError."""
        name = self.path.name
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise SourceError(f"{name}: the compressed file is corrupt or cut off") from None
        except OSError as error:
            raise SourceError(f"{name}: {error.strerror or type(error).__name__}") from None
        except UnicodeError:
            if self._encoding is None:
                raise
            raise SourceError(f"{name}: is not {self._encoding}: {ENCODING_HINT}") from None

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file's content. Raises: SourceError, for what is read in the block."""
        with self._errors(), _CountingFile(self.path) as file:
            self._file = file
            content = cast("BinaryIO", io.BufferedReader(file, PIECE_BYTES))
            if self._compressed:
                content = cast("BinaryIO", gzip.GzipFile(fileobj=content, mode="rb"))
            if self._encoding is not None:
                recoded = _Utf8Reader(content, self._encoding)
                content = cast("BinaryIO", io.BufferedReader(recoded, PIECE_BYTES))
            yield content

    def head(self, size: int = PIECE_BYTES) -> bytes:
        """The first `size` bytes of the content."""
        with self.open() as content:
            return content.read(size)

    def pieces(self) -> Iterator[bytes]:
        """The content, PIECE_BYTES at a time."""
        with self.open() as content:
            while piece := content.read(PIECE_BYTES):
                yield piece


def _marked_encoding(head: bytes) -> str | None:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    return None
