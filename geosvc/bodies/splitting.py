"""Cuts a body into texts of whole features as it arrives, so that it needs little memory.

Only the members beside the features are decoded here. Whether the features are JSON is found by
their decoder.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import compress

import numpy as np
import orjson

from geosvc.bodies.brackets import Brackets, BracketScanner, greatest_depth
from geosvc.bodies.elements import (
    BOM,
    WHITE_SPACE,
    Elements,
    Grammar,
    MalformedBody,
    Piece,
    SplitLimits,
    TooLarge,
)

__all__ = [
    "BodySplitter",
    "FeatureCollectionSplitter",
    "MalformedBody",
    "Piece",
    "SequenceSplitter",
    "SplitLimits",
    "TooLarge",
    "is_feature_collection",
]

_KEY = re.compile(rb'"(features|type)"[ \t\n\r]*:[ \t\n\r]*')
_TEXT = re.compile(rb'"[^"\\]*"')

_ARRAY_GRAMMAR = Grammar(
    depth=2,
    separator=b",",
    repeated=False,
    noun="comma",
)
_RECORD_GRAMMAR = Grammar(
    depth=0,
    separator=b"\x1e",
    repeated=True,
    noun="record separator",
)
_LINE_GRAMMAR = Grammar(
    depth=0,
    separator=b"\n",
    repeated=True,
    noun="line break",
)
_DEFAULTS = SplitLimits()


def is_feature_collection(head: bytes) -> bool | None:
    """Whether a body is a FeatureCollection.

    Args:
        head: how the body begins.
    Returns: None when that does not decide it.
    """
    if len(head) < len(BOM) and BOM.startswith(head):
        return None
    text = head.removeprefix(BOM).lstrip(WHITE_SPACE)
    if text and not text.startswith(b"{"):
        return False
    keys, ended = _find_keys(text)
    for key in keys:
        if key[1] == b"features":
            return True
        value = _TEXT.match(text, key.end())
        if value is not None:
            return value[0] == b'"FeatureCollection"'
        first_byte = text[key.end() : key.end() + 1]
        is_cut_off = first_byte in (b"", b'"')  # the text ends before or within a string
        if not is_cut_off:
            return False
    return False if ended else None


class _Buffer:
    """Collects what arrives until it is worth cutting."""

    def __init__(self, piece_bytes: int) -> None:
        self._piece_bytes = max(piece_bytes, len(BOM))
        self._waiting = bytearray()
        self._begun = False

    def add(self, data: bytes) -> Iterator[bytes]:
        """The texts to cut now, each of `piece_bytes` to twice as much."""
        self._waiting += data
        if len(self._waiting) >= self._piece_bytes:
            yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        """All that is left, without a byte order mark at the beginning of the body."""
        waiting = memoryview(self._waiting)
        self._waiting = bytearray()
        if not self._begun and waiting[: len(BOM)] == BOM:
            waiting = waiting[len(BOM) :]
        self._begun = True
        while len(waiting) >= 2 * self._piece_bytes:
            yield waiting[: self._piece_bytes].tobytes()
            waiting = waiting[self._piece_bytes :]
        if waiting:
            yield waiting.tobytes()


class BodySplitter(ABC):
    """Splits a body that arrives in parts into pieces of whole features.

    Attributes:
        members: the members beside the features, when the body has ended.
    """

    def __init__(self, limits: SplitLimits = _DEFAULTS) -> None:
        self.members: dict[str, object] = {}
        self._limits = limits
        self._buffer = _Buffer(limits.piece_bytes)

    def feed(self, data: bytes) -> list[Piece]:
        """The features that have ended, if they are worth a piece.

        Raises: MalformedBody, TooLarge.
        """
        return self._take_all(self._buffer.add(data))

    def finish(self) -> list[Piece]:
        """The last features of the body, which ends here. Raises: MalformedBody, TooLarge."""
        pieces = self._take_all(self._buffer.rest())
        self._check_end()
        return pieces

    def _take_all(self, texts: Iterable[bytes]) -> list[Piece]:
        pieces: list[Piece] = []
        for text in texts:
            pieces += self._take(text)
        return pieces

    @abstractmethod
    def _take(self, text: bytes) -> Iterator[Piece]:
        """Takes the next text of the body. Raises: MalformedBody, TooLarge."""

    @abstractmethod
    def _check_end(self) -> None:
        """Raises: MalformedBody for a body that is cut off."""


class FeatureCollectionSplitter(BodySplitter):
    """Splits a GeoJSON FeatureCollection, whose members may come in any order.

    Source: RFC 7946 3.3.
    """

    def __init__(self, limits: SplitLimits = _DEFAULTS) -> None:
        super().__init__(limits)
        self._head: bytes | None = b""  # the text before the features; None when they have begun
        self._members_bytes = 0
        self._elements = Elements(_ARRAY_GRAMMAR, limits)
        self._tail: bytearray | None = None  # the text after the features
        self._tail_scanner = BracketScanner(1)
        self._ended = False

    def _check_end(self) -> None:
        if self._ended:
            return
        count = self._elements.count
        if self._elements.inside:
            raise MalformedBody(f"the body ends within feature {count}", count)
        if self._head is None:
            raise MalformedBody(f"the body ends after {count} features, before it is complete")
        if self._head:
            raise MalformedBody("the body ends before its features")
        raise MalformedBody("the body is empty")

    def _take(self, text: bytes) -> Iterator[Piece]:
        """Takes the next text of the body, which may begin in one part of it and end in another."""
        if self._head is not None:  # before the features
            head = text.lstrip(WHITE_SPACE)
            if self._head:
                head = self._head + text
            text = self._take_head(head)
        if self._head is None and self._tail is None:  # within them
            piece, end = self._elements.take(text)
            if piece is not None:
                yield piece
            if end is None:
                return
            text = self._end_features(text, end)
        if self._tail is not None and not self._ended:  # after them
            text = self._take_tail(text)
        if self._ended and text.strip(WHITE_SPACE):
            raise MalformedBody("the body has more text after the end of its object")

    def _take_head(self, head: bytes) -> bytes:
        """The text after the bracket that begins the features; empty before that has arrived."""
        if head and not head.startswith(b"{"):
            raise MalformedBody("the body is not a JSON object")
        keys, ended = _find_keys(head)
        at = len(head)
        for key in keys:
            if key[1] == b"features":
                at = key.end()
                break
        self._check_members(at, BracketScanner().scan(head[:at]))
        if at == len(head):
            if ended:
                raise MalformedBody("the body has no member named features")
            self._head = head
            return b""
        if head[at : at + 1] != b"[":
            raise MalformedBody("the member named features is not an array")
        self._head = None
        self._members_bytes = at
        self.members = _decode(head[:at] + b"0}")
        return head[at + 1 :]

    def _check_members(self, size: int, brackets: Brackets) -> None:
        max_bytes = self._limits.members_bytes
        max_depth = self._limits.max_depth
        if size > max_bytes:
            raise TooLarge(f"the members beside the features are longer than {max_bytes} bytes")
        if greatest_depth(brackets.depth) > max_depth:
            raise MalformedBody(
                f"a member beside the features is nested deeper than {max_depth} brackets"
            )

    def _end_features(self, text: bytes, end: int) -> bytes:
        """The text after the bracket that ends the features."""
        if self._elements.announced:
            count = self._elements.count
            raise MalformedBody(f"feature {count} is empty", count)
        if text[end : end + 1] != b"]":
            raise MalformedBody("the array of features does not end with a square bracket")
        self._tail = bytearray(b'{"features":0')
        return text[end + 1 :]

    def _take_tail(self, text: bytes) -> bytes:
        """The text after the bracket that ends the body's object."""
        assert self._tail is not None
        brackets = self._tail_scanner.scan(text)
        outside = np.flatnonzero(brackets.depth < 1)
        end = len(text)
        if outside.size:
            end = int(brackets.at[outside[0]]) + 1
        self._tail += text[:end]
        self._members_bytes += end
        self._check_members(self._members_bytes, brackets)
        if outside.size:
            members = _decode(bytes(self._tail))
            if members.pop("features") != 0:
                raise MalformedBody("the body has several members named features")
            del self.members["features"]
            self.members |= members
            self._ended = True
        return text[end:]


class SequenceSplitter(BodySplitter):
    """Splits a sequence of features: each after a record separator, or each on a line.

    A sequence has no members beside the features.

    Source: RFC 8142 (GeoJSON text sequences), RFC 7464 2.1; geojson.org/geojson-l for lines.
    """

    def __init__(self, limits: SplitLimits = _DEFAULTS) -> None:
        super().__init__(limits)
        self._elements: Elements | None = None
        self._grammar = _LINE_GRAMMAR

    def _check_end(self) -> None:
        if self._elements is None:
            return
        # An object ends with its last bracket, so the line feed may be missing that RFC 7464 2.4
        # requires after numbers.
        without_record = self._grammar is _RECORD_GRAMMAR and self._elements.announced
        if self._elements.inside or without_record:
            count = self._elements.count
            raise MalformedBody(f"the body ends within feature {count}", count)

    def _take(self, text: bytes) -> Iterator[Piece]:
        if self._elements is None:
            text = text.lstrip(WHITE_SPACE)
            if not text:
                return
            if text.startswith(_RECORD_GRAMMAR.separator):
                self._grammar = _RECORD_GRAMMAR
            self._elements = Elements(self._grammar, self._limits)
        piece, end = self._elements.take(text)
        if end is not None:
            count = self._elements.count
            raise MalformedBody(f"feature {count} is not a JSON object", count)
        if piece is not None:
            yield piece


def _find_keys(head: bytes) -> tuple[list[re.Match[bytes]], bool]:
    """The keys `features` and `type` of the object that begins a text.

    Returns: the keys, and whether the object ends in the text.
    """
    brackets = BracketScanner().scan(head, strings=True)
    outside = np.flatnonzero(brackets.depth < 1)
    at, depth = brackets.at, brackets.depth
    if outside.size:
        end = outside[0]
        at, depth = at[:end], depth[:end]
    strings_at_top = at[depth == 1]
    keys = list(_KEY.finditer(head))
    starts = np.array([key.start() for key in keys], np.intp)
    is_at_top = np.isin(starts, strings_at_top)
    keys_at_top = list(compress(keys, is_at_top))
    return keys_at_top, bool(outside.size)


def _decode(text: bytes) -> dict[str, object]:
    try:
        members: dict[str, object] = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedBody("the members beside the features are not JSON") from error
    return members
