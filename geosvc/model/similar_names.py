"""Suggestions for a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

# Comparing takes time. PostgreSQL's names have at most 63 bytes, and requests may have any name.
_MAX_LENGTH = 63
_MAX_NAMES = 1_000
_LEAST_SIMILARITY = 0.6  # 0 to 1, as difflib measures it


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`: did you mean …?` with the most similar known name; empty if none is similar."""
    if not 0 < len(name) <= _MAX_LENGTH:
        return ""
    names = {each.lower(): each for each in islice(known, _MAX_NAMES)}
    similar = get_close_matches(name.lower(), names, n=1, cutoff=_LEAST_SIMILARITY)
    if not similar:
        return ""
    return f": did you mean {names[similar[0]]}?"
