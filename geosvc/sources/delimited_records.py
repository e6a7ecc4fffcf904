"""Records of tables of texts (CSV): lines, delimiters and quotation marks.

Source: RFC 4180.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geosvc.sources.file_reader import ENCODING_HINT, FileReader
from geosvc.sources.notes import Notes
from geosvc.sources.source_error import SourceError

_DELIMITERS = ",;\t|"
_DECLARED_DELIMITER = re.compile(r"(?i)\"?sep=([^\"])\"?[\r\n]*")  # the first line, for Excel
_MAX_CELL = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a table.

    Attributes:
        number: of its first line, from 1.
        cells: None for an empty cell without quotation marks.
    """

    number: int
    cells: list[str | None]


class _MalformedQuotes(SourceError):
    """Quotation marks that do not match."""


class RecordReader:
    """Reads the records of a table from the beginning, as often as needed.

    Attributes:
        delimiter: between the cells.
    Raises: SourceError.
    """

    def __init__(self, path: Path, encoding: str | None, notes: Notes) -> None:
        self.file = FileReader(path, encoding)
        self._path = path
        self._declared_delimiter: str | None = None
        self._has_quotes = True
        # The csv module has one limit for the process, and 128 KiB is less than a coastline.
        csv.field_size_limit(_MAX_CELL)
        self.delimiter = self._detect_delimiter()
        if self.delimiter == "\t" and self._has_stray_quotes():
            self._has_quotes = False
            notes.add("quotes are read as they are, because they do not match as quotation marks")

    def locate(self, line: int) -> str:
        """Names a line, for a person."""
        return f"{self._path.name}, line {line}"

    def records(self) -> Iterator[Record]:
        """The records that are not blank, the header first. Raises: SourceError."""
        lines: list[str] = []  # of the record

        def remembered() -> Iterator[str]:
            for line in self._lines():
                lines.append(line)
                yield line

        cell = _cell_pattern(self.delimiter)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self._has_quotes else csv.QUOTE_NONE
        reader = csv.reader(remembered(), delimiter=self.delimiter, strict=True, quoting=quoting)
        number = 1
        try:
            for texts in reader:
                if texts:
                    cells: list[str | None]
                    if "" in texts:
                        cells = _with_nulls(texts, "".join(lines), cell)
                    else:
                        cells = list(texts)
                    yield Record(number, cells)
                lines.clear()
                number = reader.line_num + 1
        except csv.Error as error:
            raise _MalformedQuotes(
                f"{self.locate(number)}: {error}: a quotation mark within quotes is written twice"
            ) from None

    def _detect_delimiter(self) -> str:
        """The delimiter that the file declares, or the one that gives most columns."""
        first_line = ""
        for line in self._lines():
            if line.strip("\r\n"):
                first_line = line
                break
        if self._declared_delimiter:
            return self._declared_delimiter
        counts = {delimiter: _count_cells(first_line, delimiter) for delimiter in _DELIMITERS}
        return max(counts, key=counts.__getitem__)

    def _has_stray_quotes(self) -> bool:
        """Whether quotes in a table with tabs quote nothing, as in many such tables."""
        try:
            quoted = self._count_equal_records()
        except _MalformedQuotes:
            return True
        self._has_quotes = False
        plain = self._count_equal_records()
        self._has_quotes = True
        # Two stray quotes make one cell of all that is between them: then there are more records
        # without quotes.
        return plain is not None and plain != quoted

    def _count_equal_records(self) -> int | None:
        """How many records there are; None when they have different numbers of cells."""
        widths = Counter(len(record.cells) for record in self.records())
        return widths.total() if len(widths) == 1 else None

    def _lines(self) -> Iterator[str]:
        """The lines; a declaration of the delimiter becomes a blank line."""
        with (
            self.file.open() as content,
            io.TextIOWrapper(content, "utf-8-sig", newline="") as lines,
        ):
            try:
                for number, line in enumerate(lines, 1):
                    if "\0" in line:
                        raise SourceError(
                            f"{self.locate(number)}: holds a NUL character, which cannot be stored"
                        )
                    if number == 1 and (declared := _DECLARED_DELIMITER.fullmatch(line)):
                        self._declared_delimiter = declared[1]
                        yield "\n"
                    else:
                        yield line
            except UnicodeDecodeError:
                where = self.locate(self._undecodable_line())
                raise SourceError(f"{where}: is not UTF-8: {ENCODING_HINT}") from None

    def _undecodable_line(self) -> int:
        with self.file.open() as content:
            for number, line in enumerate(content, 1):
                try:
                    line.decode()
                except UnicodeDecodeError:
                    return number
        return 1


def _cell_pattern(delimiter: str) -> re.Pattern[str]:
    """A cell and its end; the group `quoted` is set where it has quotation marks."""
    mark = re.escape(delimiter)
    end = rf"(?:{mark}|\r?\n|\r|$)"
    quoted = r'"(?P<quoted>(?:[^"]++|"")*)"'
    plain = rf'[^"{mark}\r\n][^{mark}\r\n]*+'
    return re.compile(rf"(?:{quoted}|(?:{plain})?){end}")


def _with_nulls(texts: list[str], record: str, cell: re.Pattern[str]) -> list[str | None]:
    """The cells; None for an empty one without quotation marks.

    The csv module does not distinguish them from empty texts in quotation marks.
    """
    if '""' not in record:
        return [text or None for text in texts]
    are_quoted = (match["quoted"] is not None for match in cell.finditer(record))
    cells: list[str | None] = []
    for text, is_quoted in zip(texts, are_quoted, strict=False):
        cells.append(text if text or is_quoted else None)
    return cells


def _count_cells(line: str, delimiter: str) -> int:
    """How many cells a line has, as far as it is a record."""
    try:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:
        return 0
