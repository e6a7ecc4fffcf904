"""Where the brackets of a JSON text are, in whatever pieces it arrives.

By numpy, at 1 to 2 ns a byte; a loop over the matches of a regular expression takes 38 ns.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.intp]

_SHORT_BYTES = 4_096
_BYTES_PER_BRACKET = 4
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_STEPS = np.zeros(256, np.int8)  # how a byte changes the depth
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1
# [ ] { } differ in these bits only, and share all others with Y y _ DEL, whose step is 0: one
# comparison instead of four.
_BITS, _BRACKET = 0x26, 0x7F


@dataclass(frozen=True, slots=True)
class Brackets:
    """The brackets outside strings, and on request the quotes that open a string.

    Attributes:
        at: their offsets, ascending.
        depth: how many brackets are open after each.
    """

    at: Positions
    depth: NDArray[np.int32]


def is_dense(text: bytes) -> bool:
    """Whether a text that is not short consists mostly of brackets.

    It does with less than 4 bytes per opening bracket. A position such as [1,2] has 6.
    """
    if len(text) <= _SHORT_BYTES:
        return False
    opening = text.count(b"[") + text.count(b"{")
    return opening > len(text) // _BYTES_PER_BRACKET


def greatest_depth(depth: NDArray[np.int32]) -> int:
    """The greatest of some depths, 0 for none."""
    return int(np.max(depth, initial=0))


class BracketScanner:
    """Scans a text piece by piece, each byte once.

    Attributes:
        depth: how many brackets are open after the last piece; negative when more were closed
            than opened.
    """

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth
        self._in_string = False
        self._escaped = False

    def scan(self, text: bytes, *, strings: bool = False) -> Brackets:
        """The brackets of the next piece; with `strings` also the quotes that open a string."""
        codes = np.frombuffer(text, np.uint8)
        quotes = codes == _QUOTE
        if self._escaped or _BACKSLASH in text:
            self._remove_escaped(codes, quotes)
        marks = (codes | _BITS) == _BRACKET
        marks |= quotes
        at = np.flatnonzero(marks)
        marked = codes[at]
        is_quote = marked == _QUOTE
        after_odd_quotes = np.bitwise_xor.accumulate(is_quote.view(np.uint8))
        in_string = after_odd_quotes != self._in_string
        steps = _STEPS[marked]
        steps[in_string] = 0
        selected = steps != 0
        if strings:
            selected |= in_string & is_quote
        depth = np.cumsum(steps[selected], dtype=np.int32)
        depth += self.depth
        if in_string.size:
            self._in_string = bool(in_string[-1])
        if depth.size:
            self.depth = int(depth[-1])
        return Brackets(at[selected], depth)

    def _remove_escaped(self, codes: NDArray[np.uint8], quotes: NDArray[np.bool_]) -> None:
        """Removes quotes that an odd number of backslashes precedes, across pieces too."""
        slashes = np.flatnonzero(codes == _BACKSLASH)
        if self._escaped:
            if not codes.size:
                return
            quotes[0] = False
            if slashes.size and slashes[0] == 0:
                slashes = slashes[1:]
        first_of_run = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
        run_lengths = np.diff(first_of_run, append=slashes.size)
        after_run = slashes[first_of_run] + run_lengths
        escaped = after_run[run_lengths % 2 == 1]
        self._escaped = bool(escaped.size and escaped[-1] == codes.size)
        if self._escaped:  # the next piece begins with it
            escaped = escaped[:-1]
        quotes[escaped] = False
