"""Notes for a person about values that are changed or lost between a file and its table.

Each kind of change is one note, with its column and how often it occurs.
"""

from collections import Counter
from collections.abc import Iterable

from geosvc.sources.schema import SourceColumn

_RESPELLED = {
    "timestamptz": "come back as the same instants in UTC, not in the words of the file",
    "timestamp": "lose their zone: the type timestamp has none, timestamptz has",
    "date": "lose their time: the type date has none",
    "time": "lose their day: the type time has none",
}


class Notes:
    """The notes about one file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._notes: dict[str, None] = {}
        self._respelled: Counter[str] = Counter()
        self._counted: Counter[str] = Counter()
        self._types: dict[str, str] = {}

    def add(self, note: str) -> None:
        """Adds a note; a note that was added before is not repeated."""
        self._notes[note] = None

    def count_respelled(self, column: str) -> None:
        """Counts an instant that comes back in UTC, or with other digits."""
        self._respelled[column] += 1

    def set_stored_types(self, columns: Iterable[SourceColumn]) -> None:
        """Sets the columns as they are stored: instants change only in columns of times."""
        self._types = {column.source: column.type for column in columns}

    def count(self, note: str, number: int = 1) -> None:
        """Counts values that are changed; the note has {} for their number."""
        self._counted[note] += number

    @property
    def lines(self) -> tuple[str, ...]:
        """All notes, each with the name of the file."""
        notes = list(self._notes)
        for note, number in self._counted.items():
            if number:
                notes.append(note.format(f"{number:,}"))
        for column, number in self._respelled.items():
            stored_type = self._types.get(column, "timestamptz")
            if stored_type in _RESPELLED:
                notes.append(f"{column}: {number:,} instants {_RESPELLED[stored_type]}")
        return tuple(f"{self._file}: {note}" for note in notes)
