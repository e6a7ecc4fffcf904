"""Names that are near to one that does not exist, for those who mistyped it."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

_MAX_LENGTH = 63  # of what PostgreSQL takes for a name
_MAX_NAMES = 1_000


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`: did you mean …?` with the nearest of the known names; nothing where none is near."""
    if not 0 < len(name) <= _MAX_LENGTH:
        return ""
    names = {each.lower(): each for each in islice(known, _MAX_NAMES)}
    nearest = get_close_matches(name.lower(), names, 1, 0.6)
    return f": did you mean {names[nearest[0]]}?" if nearest else ""
