"""Cuts whole JSON objects out of a text that arrives in pieces. It does not decode them.

The objects are the elements of an array, or of a sequence with other separators.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geosvc.bodies.brackets import Brackets, BracketScanner, Positions, greatest_depth

WHITE_SPACE = b" \t\n\r"
BOM = b"\xef\xbb\xbf"
"""A byte order mark, which is ignored at the beginning of a body. Source: RFC 8259 8.1."""
_OBJECT = ord("{")
_IS_BLANK = np.isin(np.arange(256), list(WHITE_SPACE))


class MalformedBody(Exception):
    """The body is not valid.

    Attributes:
        detail: what is wrong; contains no values of the body.
        index: of the feature that is wrong, from 0; None when it is not a feature.
    """

    def __init__(self, detail: str, index: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.index = index


class TooLarge(MalformedBody):
    """A feature, or the text before and after the features, exceeds its limit."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some whole features.

    Attributes:
        first: the index of the first one in the body, from 0.
        count: how many, counted by their brackets. If `[text]` is JSON, it has so many elements.
        text: the features with commas between them.
        depth: how deep the brackets of the deepest one are nested; 1 for `{}`.
        longest: the bytes of the longest one.
    """

    first: int
    count: int
    text: bytes
    depth: int
    longest: int = 0


@dataclass(frozen=True, slots=True)
class SplitLimits:
    """The limits of a body.

    Attributes:
        piece_bytes: how many bytes are collected before they are cut. At most twice as much and
            one feature are in memory.
        members_bytes: of the text before and after the array of features, white space included.
    """

    max_feature_bytes: int = 16 << 20
    max_depth: int = 64
    piece_bytes: int = 1 << 20
    members_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Grammar:
    """How elements follow one another.

    Attributes:
        depth: how many brackets are open around an element.
        separator: one byte.
        repeated: whether several separators are equal to one, and may come before the first
            element. No element then contains one.
        noun: the name of the separator in messages.
    """

    depth: int
    separator: bytes
    repeated: bool
    noun: str


@dataclass(frozen=True, slots=True)
class _Cut:
    """The elements of one piece of text.

    Attributes:
        opens: where elements begin; negative when the first one began in an earlier piece.
        closes: where they end; one fewer than `opens` when the last one does not end here.
        whole_depth: how deep those that ended are nested.
        open_depth: how deep the one that has not ended is nested.
    """

    opens: Positions
    closes: Positions
    whole_depth: int
    open_depth: int

    @property
    def ends_within_element(self) -> bool:
        """Whether the last element does not end in this piece."""
        return self.opens.size > self.closes.size


class Elements:
    """The elements of one array or sequence.

    Attributes:
        count: how many have ended.
    """

    def __init__(self, grammar: Grammar, limits: SplitLimits) -> None:
        self.count = 0
        self._grammar = grammar
        self._limits = limits
        self._scanner = BracketScanner(grammar.depth)
        self._open: list[bytes] = []  # the text of the element that has not ended
        self._open_bytes = 0
        self._open_depth = 0
        self._separators = 0  # since the last element

    @property
    def inside(self) -> bool:
        """Whether an element has begun and not ended."""
        return self._open_bytes > 0

    @property
    def announced(self) -> bool:
        """Whether the text ends with a separator, so that an element has to follow."""
        return self._separators > 0

    def take(self, text: bytes) -> tuple[Piece | None, int | None]:
        """The elements that end in the next piece of text.

        Returns: the elements, and the offset of the bracket that ends the array, if it is there.
        Raises: MalformedBody, TooLarge.
        """
        brackets = self._scanner.scan(text)
        outside = np.flatnonzero(brackets.depth < self._grammar.depth)
        end = None
        if outside.size:
            first = outside[0]
            end = int(brackets.at[first])
            text = text[:end]
            brackets = Brackets(brackets.at[:first], brackets.depth[:first])
        cut = self._cut(brackets.at, brackets.depth - self._grammar.depth)
        single = self._check_gaps(text, cut)
        self._check_lengths(text, cut)
        piece = None
        if cut.closes.size:
            piece = self._piece(text, cut, single)
        self._keep_open(text, cut)
        return piece, end

    def _cut(self, at: Positions, depth: NDArray[np.int32]) -> _Cut:
        """Finds the elements by the brackets of a piece and the depth within an element."""
        ends = np.flatnonzero(depth == 0)
        if greatest_depth(depth) > self._limits.max_depth:
            index = self.count + int(np.searchsorted(ends, np.argmax(depth)))
            raise MalformedBody(
                f"feature {index} is nested deeper than {self._limits.max_depth} brackets", index
            )
        begins = at[ends[ends < at.size - 1] + 1]
        first = at[:1]
        if self.inside:
            first = np.array([-self._open_bytes])
        after_last_end = 0
        earlier_depth = self._open_depth
        whole_depth = earlier_depth
        if ends.size:
            after_last_end = int(ends[-1]) + 1
            whole_depth = max(earlier_depth, greatest_depth(depth[:after_last_end]))
            earlier_depth = 0
        open_depth = max(earlier_depth, greatest_depth(depth[after_last_end:]))
        return _Cut(np.concatenate((first, begins)), at[ends], whole_depth, open_depth)

    def _check_gaps(self, text: bytes, cut: _Cut) -> bool:
        """Checks what is between the elements.

        Returns: whether exactly one separator stands between any two elements.
        """
        found = 0
        single = True
        opens, closes = cut.opens, cut.closes
        if not self.inside:
            first_open = int(opens[0]) if opens.size else None
            found += self._check_gap(text, 0, first_open, self.count)
        if opens.size > 1:
            counts = self._count_separators(text, closes[: opens.size - 1] + 1, opens[1:])
            found += int(counts.sum())
            single = bool(np.max(counts) == 1)
        if opens.size:
            self._separators = 0
        if closes.size and not cut.ends_within_element:
            after = int(closes[-1]) + 1
            found += self._check_gap(text, after, None, self.count + closes.size)
        if self._grammar.repeated and text.count(self._grammar.separator) != found:
            self._refuse_separator_within(text, cut)
        return single

    def _check_gap(self, text: bytes, start: int, stop: int | None, index: int) -> int:
        """Counts the separators before a feature.

        Args:
            stop: where the feature opens; None when it does not open in this piece.
            index: of the feature.
        """
        gap = text[start:stop]
        if gap.translate(None, WHITE_SPACE + self._grammar.separator):
            raise MalformedBody(f"feature {index} is not a JSON object", index)
        found = gap.count(self._grammar.separator)
        self._separators += found
        if not self._grammar.repeated and self._separators > (index > 0):
            raise MalformedBody(f"feature {index} is empty", index)
        if stop is None:
            return found
        if text[stop] != _OBJECT:
            raise MalformedBody(f"feature {index} is not a JSON object", index)
        if index > 0 and not self._separators:
            raise MalformedBody(
                f"the {self._grammar.noun} before feature {index} is missing", index
            )
        return found

    def _count_separators(self, text: bytes, starts: Positions, stops: Positions) -> Positions:
        """How many separators each gap has.

        Args:
            starts, stops: of the gaps; at each stop a feature opens.
        """
        codes = np.frombuffer(text, np.uint8)
        lengths = stops - starts
        counts = np.zeros(lengths.size, np.intp)
        malformed = codes[stops] != _OBJECT
        filled = lengths > 0
        firsts = (np.cumsum(lengths) - lengths)[filled]
        if firsts.size:
            # the bytes of all gaps, one after the other
            offsets = np.repeat(starts[filled] - firsts, lengths[filled])
            found = codes[offsets + np.arange(int(lengths.sum()))]
            is_separator = found == self._grammar.separator[0]
            counts[filled] = np.add.reduceat(is_separator, firsts, dtype=np.intp)
            is_other = ~(is_separator | _IS_BLANK[found])
            malformed[filled] |= np.logical_or.reduceat(is_other, firsts)
        malformed |= counts < 1
        if not self._grammar.repeated:
            malformed |= counts > 1
        if malformed.any():
            gap = int(malformed.argmax())
            self._separators = 0
            self._check_gap(text, int(starts[gap]), int(stops[gap]), self.count + gap + 1)
        return counts

    def _refuse_separator_within(self, text: bytes, cut: _Cut) -> None:
        """Raises: MalformedBody for the first element that contains a separator."""
        separators = np.flatnonzero(np.frombuffer(text, np.uint8) == self._grammar.separator[0])
        ended = np.searchsorted(cut.closes, separators)
        begun = np.searchsorted(cut.opens, separators)
        index = self.count + int(ended[begun > ended][0])
        raise MalformedBody(
            f"feature {index} is cut off, or has a {self._grammar.noun} in it", index
        )

    def _check_lengths(self, text: bytes, cut: _Cut) -> None:
        stops = np.append(cut.closes + 1, len(text))[: cut.opens.size]
        too_long = np.flatnonzero(stops - cut.opens > self._limits.max_feature_bytes)
        if too_long.size:
            index = self.count + int(too_long[0])
            raise TooLarge(
                f"feature {index} is longer than {self._limits.max_feature_bytes} bytes", index
            )

    def _piece(self, text: bytes, cut: _Cut, single: bool) -> Piece:
        """The elements that end in this piece of text.

        Args:
            single: whether exactly one separator stands between any two of them.
        """
        first, count = self.count, int(cut.closes.size)
        self.count += count
        if single:
            start, stop = max(int(cut.opens[0]), 0), int(cut.closes[-1]) + 1
            whole = b"".join((*self._open, text[start:stop]))
            if self._grammar.separator != b",":
                whole = whole.replace(self._grammar.separator, b",")
        else:
            parts = []
            stops = (cut.closes + 1).tolist()
            for start, stop in zip(cut.opens.tolist(), stops, strict=False):
                parts.append(text[max(start, 0) : stop])
            whole = b"".join(self._open) + b",".join(parts)
        lengths = cut.closes - cut.opens[:count] + 1
        return Piece(first, count, whole, cut.whole_depth, int(np.max(lengths)))

    def _keep_open(self, text: bytes, cut: _Cut) -> None:
        """Keeps the text of the element that has begun and not ended."""
        if cut.closes.size:
            self._open, self._open_bytes = [], 0
        if cut.ends_within_element:
            begun = text[max(int(cut.opens[-1]), 0) :]
            self._open.append(begun)
            self._open_bytes += len(begun)
        self._open_depth = cut.open_depth
