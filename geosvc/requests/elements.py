"""Cuts whole JSON objects, and what separates them, out of a text that arrives in pieces; never decodes them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geosvc.requests.brackets import Brackets, BracketScanner, Positions

WHITE_SPACE = b" \t\n\r"
_OBJECT = ord("{")
_IS_BLANK = np.isin(np.arange(256), list(WHITE_SPACE))


class MalformedBody(Exception):
    """The body is not what it should be.

    Attributes:
        detail: what is wrong; holds no values of the body.
        index: the feature at which, from 0; None when it is none.
    """

    def __init__(self, detail: str, index: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.index = index


class TooLarge(MalformedBody):
    """A feature, or what surrounds the features, is larger than it may be."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some whole features.

    Attributes:
        first: the index in the body of the first, from 0.
        count: how many, by their brackets; if `[text]` is JSON, it has so many elements.
        text: the features with commas between.
        depth: how deep brackets are nested in the deepest; 1 for `{}`.
    """

    first: int
    count: int
    text: bytes
    depth: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a body may demand.

    Attributes:
        piece_bytes: so much is awaited before it is cut; what is held is twice that and a feature.
        members_bytes: of the text before and behind the array of features, white space included.
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
        repeated: whether several separators are as good as one, and may stand before the first element; none is within one.
        noun: what the separator is called.
    """

    depth: int
    separator: bytes
    repeated: bool
    noun: str


@dataclass(frozen=True, slots=True)
class _Cut:
    """The elements of one piece of text.

    Attributes:
        opens: where elements open; negative when the first did so before this piece.
        closes: where they close; one less than `opens` when the last one does not.
        whole_depth: how deep those that have ended are nested.
        open_depth: and the one that has not.
    """

    opens: Positions
    closes: Positions
    whole_depth: int
    open_depth: int


class Elements:
    """The elements of one array or sequence.

    Attributes:
        count: how many have ended.
    """

    def __init__(self, grammar: Grammar, limits: Limits) -> None:
        self.count = 0
        self._grammar = grammar
        self._limits = limits
        self._scanner = BracketScanner(grammar.depth)
        self._open: list[bytes] = []  # the element that has not ended
        self._open_bytes = 0
        self._open_depth = 0
        self._separators = 0  # since the last element

    @property
    def inside(self) -> bool:
        """Whether an element has begun and not ended."""
        return self._open_bytes > 0

    @property
    def announced(self) -> bool:
        """Whether a separator has come, and no element behind it."""
        return self._separators > 0

    def take(self, text: bytes) -> tuple[Piece | None, int | None]:
        """What ends in the next piece of text, and the offset of the bracket that ends the array, if it is in there.

        Raises: MalformedBody, TooLarge.
        """
        brackets = self._scanner.scan(text)
        over = np.flatnonzero(brackets.depth < self._grammar.depth)
        end = None
        if over.size:
            end = int(brackets.at[over[0]])
            text, brackets = text[:end], Brackets(brackets.at[: over[0]], brackets.depth[: over[0]])
        cut = self._cut(brackets.at, brackets.depth - self._grammar.depth)
        single = self._check_gaps(text, cut)
        self._check_lengths(text, cut)
        piece = self._piece(text, cut, single) if cut.closes.size else None
        self._keep(text, cut)
        return piece, end

    def _cut(self, at: Positions, depth: NDArray[np.int32]) -> _Cut:
        ends = np.flatnonzero(depth == 0)
        if depth.size and depth.max() > self._limits.max_depth:
            index = self.count + int(np.searchsorted(ends, depth.argmax()))
            raise MalformedBody(f"feature {index} is nested deeper than {self._limits.max_depth} brackets", index)
        begins = at[ends[ends < at.size - 1] + 1]
        first = np.array([-self._open_bytes]) if self.inside else at[:1]
        behind = int(ends[-1]) + 1 if ends.size else 0
        whole_depth = max(self._open_depth, int(depth[:behind].max(initial=0)))
        open_depth = max(0 if ends.size else self._open_depth, int(depth[behind:].max(initial=0)))
        return _Cut(np.concatenate((first, begins)), at[ends], whole_depth, open_depth)

    def _check_gaps(self, text: bytes, cut: _Cut) -> bool:
        """Whether exactly one separator stands between any two elements."""
        found, single = 0, True
        if not self.inside:
            begin = int(cut.opens[0]) if cut.opens.size else None
            found += self._pass(text, 0, begin, self.count)
        if cut.opens.size > 1:
            counts = self._count_separators(text, cut.closes[: cut.opens.size - 1] + 1, cut.opens[1:])
            found += int(counts.sum())
            single = counts.max() == 1
        if cut.opens.size:
            self._separators = 0
        if cut.closes.size and cut.closes.size == cut.opens.size:
            found += self._pass(text, int(cut.closes[-1]) + 1, None, self.count + cut.closes.size)
        if self._grammar.repeated and text.count(self._grammar.separator) != found:
            self._refuse_separator_within(text, cut)
        return single

    def _pass(self, text: bytes, start: int, begin: int | None, index: int) -> int:
        """Counts the separators before the feature of that index, which opens at `begin` if it does in this piece."""
        gap = text[start:begin]
        if gap.translate(None, WHITE_SPACE + self._grammar.separator):
            raise MalformedBody(f"feature {index} is no JSON object", index)
        found = gap.count(self._grammar.separator)
        self._separators += found
        if not self._grammar.repeated and self._separators > (index > 0):
            raise MalformedBody(f"feature {index} is empty", index)
        if begin is not None and text[begin] != _OBJECT:
            raise MalformedBody(f"feature {index} is no JSON object", index)
        if begin is not None and index > 0 and not self._separators:
            raise MalformedBody(f"there is no {self._grammar.noun} before feature {index}", index)
        return found

    def _count_separators(self, text: bytes, starts: Positions, stops: Positions) -> Positions:
        """How many separators each gap holds."""
        codes, separator = np.frombuffer(text, np.uint8), self._grammar.separator[0]
        lengths = stops - starts
        some = lengths > 0
        firsts = (np.cumsum(lengths) - lengths)[some]
        counts, strange = np.zeros(lengths.size, np.intp), codes[stops] != _OBJECT
        if firsts.size:
            found = codes[np.repeat(starts[some] - firsts, lengths[some]) + np.arange(int(lengths.sum()))]
            separates = found == separator
            counts[some] = np.add.reduceat(separates, firsts, dtype=np.intp)
            strange[some] |= np.logical_or.reduceat(~(separates | _IS_BLANK[found]), firsts)
        bad = strange | (counts < 1) | ((counts > 1) & (not self._grammar.repeated))
        if bad.any():
            worst = int(bad.argmax())
            self._separators = 0
            self._pass(text, int(starts[worst]), int(stops[worst]), self.count + worst + 1)
        return counts

    def _refuse_separator_within(self, text: bytes, cut: _Cut) -> None:
        """Raises: MalformedBody, of the first element that holds a separator."""
        at = np.flatnonzero(np.frombuffer(text, np.uint8) == self._grammar.separator[0])
        ended = np.searchsorted(cut.closes, at)
        index = self.count + int(ended[np.searchsorted(cut.opens, at) > ended][0])
        raise MalformedBody(f"feature {index} is cut off, or there is a {self._grammar.noun} in it", index)

    def _check_lengths(self, text: bytes, cut: _Cut) -> None:
        stops = np.append(cut.closes + 1, len(text))[: cut.opens.size]
        over = np.flatnonzero(stops - cut.opens > self._limits.max_feature_bytes)
        if over.size:
            index = self.count + int(over[0])
            raise TooLarge(f"feature {index} is longer than {self._limits.max_feature_bytes} bytes", index)

    def _piece(self, text: bytes, cut: _Cut, single: bool) -> Piece:
        first, count = self.count, int(cut.closes.size)
        self.count += count
        if single:
            start, stop = max(int(cut.opens[0]), 0), int(cut.closes[-1]) + 1
            whole = b"".join((*self._open, text[start:stop]))
            whole = whole if self._grammar.separator == b"," else whole.replace(self._grammar.separator, b",")
        else:
            stops = (cut.closes + 1).tolist()
            parts = [text[max(start, 0) : stop] for start, stop in zip(cut.opens.tolist(), stops, strict=False)]
            whole = b"".join(self._open) + b",".join(parts)
        return Piece(first, count, whole, cut.whole_depth)

    def _keep(self, text: bytes, cut: _Cut) -> None:
        """Keeps what has begun and not ended."""
        if cut.closes.size:
            self._open, self._open_bytes = [], 0
        if cut.opens.size > cut.closes.size:
            kept = text[max(int(cut.opens[-1]), 0) :]
            self._open.append(kept)
            self._open_bytes += len(kept)
        self._open_depth = cut.open_depth
