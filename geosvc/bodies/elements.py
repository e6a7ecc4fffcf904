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
        """Finds the elements of a piece.

        Args:
            at: the offsets of the brackets.
            depth: how many brackets are open after each, without those around the element.
        """
        ends = np.flatnonzero(depth == 0)
        self._check_depth(depth, ends)
        # the bracket after the end of an element begins the next one
        followed = ends[ends < at.size - 1]
        begins = at[followed + 1]
        first = at[:1]
        if self.inside:
            first = np.array([-self._open_bytes])
        opens = np.concatenate((first, begins))
        closes = at[ends]
        if ends.size == 0:
            open_depth = max(self._open_depth, greatest_depth(depth))
            return _Cut(opens, closes, whole_depth=0, open_depth=open_depth)
        after_last_end = int(ends[-1]) + 1
        whole_depth = greatest_depth(depth[:after_last_end])
        open_depth = greatest_depth(depth[after_last_end:])
        return _Cut(opens, closes, max(self._open_depth, whole_depth), open_depth)

    def _check_depth(self, depth: NDArray[np.int32], ends: Positions) -> None:
        max_depth = self._limits.max_depth
        if greatest_depth(depth) <= max_depth:
            return
        deepest = np.argmax(depth)
        ended_before = int(np.searchsorted(ends, deepest))
        index = self.count + ended_before
        raise MalformedBody(f"feature {index} is nested deeper than {max_depth} brackets", index)

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
            starts = closes[: opens.size - 1] + 1
            stops = opens[1:]
            counts = self._count_separators(text, starts, stops)
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
        separator = self._grammar.separator
        if gap.translate(None, WHITE_SPACE + separator):
            raise MalformedBody(f"feature {index} is not a JSON object", index)
        found = gap.count(separator)
        self._separators += found
        most = 0 if index == 0 else 1
        if not self._grammar.repeated and self._separators > most:
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
            gap = int(malformed.argmax())  # the first one
            start = int(starts[gap])
            stop = int(stops[gap])
            self._separators = 0
            self._check_gap(text, start, stop, self.count + gap + 1)
        return counts

    def _refuse_separator_within(self, text: bytes, cut: _Cut) -> None:
        """Raises: MalformedBody for the first element that contains a separator."""
        codes = np.frombuffer(text, np.uint8)
        separators = np.flatnonzero(codes == self._grammar.separator[0])
        # how many elements have begun and ended before each separator
        begun = np.searchsorted(cut.opens, separators)
        ended = np.searchsorted(cut.closes, separators)
        is_within = begun > ended
        index = self.count + int(ended[is_within][0])
        raise MalformedBody(
            f"feature {index} is cut off, or has a {self._grammar.noun} in it", index
        )

    def _check_lengths(self, text: bytes, cut: _Cut) -> None:
        max_bytes = self._limits.max_feature_bytes
        # an element that does not end here has all bytes up to the end of the text
        stops = np.append(cut.closes + 1, len(text))
        lengths = stops[: cut.opens.size] - cut.opens
        too_long = np.flatnonzero(lengths > max_bytes)
        if too_long.size:
            index = self.count + int(too_long[0])
            raise TooLarge(f"feature {index} is longer than {max_bytes} bytes", index)

    def _piece(self, text: bytes, cut: _Cut, single: bool) -> Piece:
        """The elements that end in this piece of text.

        Args:
            single: whether exactly one separator stands between any two of them.
        """
        count = int(cut.closes.size)
        lengths = cut.closes - cut.opens[:count] + 1
        piece = Piece(
            first=self.count,
            count=count,
            text=self._join(text, cut, single),
            depth=cut.whole_depth,
            longest=int(np.max(lengths)),
        )
        self.count += count
        return piece

    def _join(self, text: bytes, cut: _Cut, single: bool) -> bytes:
        """The elements that end in this piece, with commas between them."""
        if single:
            start = max(int(cut.opens[0]), 0)
            stop = int(cut.closes[-1]) + 1
            whole = b"".join((*self._open, text[start:stop]))
            if self._grammar.separator == b",":
                return whole
            return whole.replace(self._grammar.separator, b",")
        elements = []
        starts = np.maximum(cut.opens, 0).tolist()
        stops = (cut.closes + 1).tolist()
        for start, stop in zip(starts, stops, strict=False):  # the last one may not end here
            elements.append(text[start:stop])
        return b"".join(self._open) + b",".join(elements)

    def _keep_open(self, text: bytes, cut: _Cut) -> None:
        """Keeps the text of the element that has begun and not ended."""
        if cut.closes.size:
            self._open = []
            self._open_bytes = 0
        if cut.ends_within_element:
            start = max(int(cut.opens[-1]), 0)
            begun = text[start:]
            self._open.append(begun)
            self._open_bytes += len(begun)
        self._open_depth = cut.open_depth
