"""Numbers with more digits than a double has.

Most clients send such a number back as the nearest double. That is no change: the stored number
stays, also where another part of the same JSON value changed.
"""

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any

_NUMBERS_AND_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*')


class ExactNumber:
    """A number of a JSON text.

    Attributes:
        ordinal: which of the numbers of the text it is, from 0.
        digits: as it is written there.
    """

    __slots__ = ("digits", "ordinal")

    def __init__(self, ordinal: int, digits: str) -> None:
        self.ordinal = ordinal
        self.digits = digits


def decode_numbers(text: bytes) -> Any:
    """Decodes JSON, with each number as a `ExactNumber`. Raises: ValueError, RecursionError."""
    ordinals = count()

    def number(digits: str) -> ExactNumber:
        return ExactNumber(next(ordinals), digits)

    return json.loads(text, parse_int=number, parse_float=number)


def same_as_read(posted: Any, stored: Any) -> bool:
    """Whether a posted value is what a client sends that read the stored one.

    Args:
        posted, stored: decoded by `decode_numbers`.
    """
    if isinstance(posted, ExactNumber) and isinstance(stored, ExactNumber):
        return _same_number(posted.digits, stored.digits)
    if isinstance(posted, dict) and isinstance(stored, dict):
        if posted.keys() != stored.keys():
            return False
        return all(same_as_read(posted[name], stored[name]) for name in posted)
    if isinstance(posted, list) and isinstance(stored, list):
        return len(posted) == len(stored) and all(map(same_as_read, posted, stored))
    return type(posted) is type(stored) and bool(posted == stored)  # 1 is not true


def keep_digits(text: bytes, posted: Any, stored: Any) -> bytes:
    """A posted JSON text with the stored digits of all numbers that did not change.

    Args:
        posted: the text, decoded by `decode_numbers`.
        stored: the stored value, decoded by `decode_numbers`.
    """
    stored_digits = dict(_unchanged_numbers(posted, stored))
    if not stored_digits:
        return text
    ordinals = count()

    def put_back(match: re.Match[str]) -> str:
        written = match[0]
        if written.startswith('"'):
            return written
        return stored_digits.get(next(ordinals), written)

    return _NUMBERS_AND_TEXTS.sub(put_back, text.decode()).encode()


def _same_number(posted: str, stored: str) -> bool:
    """Whether a number is the stored one, or the nearest double in one of its usual forms.

    These are the forms of JavaScript and Python, of printf, and that with all digits.
    """
    if posted == stored:
        return True
    try:
        posted_number, stored_number = Decimal(posted), Decimal(stored)
    except ArithmeticError:  # the exponent is too large
        return False
    if posted_number == stored_number:
        return True
    double = float(stored)
    if not math.isfinite(double):
        return False
    forms = (
        Decimal(repr(double)),
        Decimal(f"{double:.17g}"),
        Decimal(double),
    )
    return posted_number in forms


def _unchanged_numbers(posted: Any, stored: Any) -> Iterator[tuple[int, str]]:
    """(ordinal, stored digits) of the numbers that are equal and have other digits."""
    if isinstance(posted, ExactNumber) and isinstance(stored, ExactNumber):
        if posted.digits != stored.digits and _same_number(posted.digits, stored.digits):
            yield posted.ordinal, stored.digits
    elif isinstance(posted, dict) and isinstance(stored, dict):
        for name in posted.keys() & stored.keys():
            yield from _unchanged_numbers(posted[name], stored[name])
    elif isinstance(posted, list) and isinstance(stored, list):
        for posted_element, stored_element in _pairs(posted, stored):
            yield from _unchanged_numbers(posted_element, stored_element)


def _pairs(posted: list[Any], stored: list[Any]) -> Iterator[tuple[Any, Any]]:
    """The elements of two arrays that belong together.

    They have the same index. In arrays of different lengths, those after the first difference have
    the same index from the end.
    """
    if len(posted) == len(stored):
        yield from zip(posted, stored, strict=True)
        return
    shorter = min(len(posted), len(stored))
    front = 0
    while front < shorter and same_as_read(posted[front], stored[front]):
        front += 1
    yield from zip(posted[:front], stored[:front], strict=True)
    from_end = reversed(posted[front:])
    stored_from_end = reversed(stored[front:])
    yield from zip(from_end, stored_from_end, strict=False)
