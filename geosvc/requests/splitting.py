"""Cuts a body into texts of whole features as it arrives, so that bodies of any size need little memory.

Nothing is decoded but the members beside the features; that the features are JSON is for their decoder to find.
"""

import re
from collections.abc import Iterator

import numpy as np
import orjson

from geosvc.requests.brackets import Brackets, BracketScanner
from geosvc.requests.elements import WHITE_SPACE, Elements, Grammar, Limits, MalformedBody, Piece, TooLarge

__all__ = [
    "FeatureCollectionSplitter",
    "Limits",
    "MalformedBody",
    "Piece",
    "SequenceSplitter",
    "TooLarge",
    "is_feature_collection",
]

_BOM = b"\xef\xbb\xbf"
_KEY = re.compile(rb'"(features|type)"[ \t\n\r]*:[ \t\n\r]*')
_TEXT = re.compile(rb'"[^"\\]*"')

_ARRAY_GRAMMAR = Grammar(depth=2, separator=b",", repeated=False, noun="comma")
_RECORD_GRAMMAR = Grammar(depth=0, separator=b"\x1e", repeated=True, noun="record separator")
_LINE_GRAMMAR = Grammar(depth=0, separator=b"\n", repeated=True, noun="line break")
_DEFAULTS = Limits()


class _Buffer:
    """Gathers what arrives until it is worth cutting."""

    def __init__(self, piece_bytes: int) -> None:
        self._piece_bytes = max(piece_bytes, len(_BOM))
        self._waiting = bytearray()
        self._begun = False

    def add(self, data: bytes) -> Iterator[bytes]:
        """What is to be cut now: texts of `piece_bytes` to twice as much."""
        self._waiting += data
        if len(self._waiting) >= self._piece_bytes:
            yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        """All that is left, the byte order mark apart."""
        waiting, self._waiting = memoryview(self._waiting), bytearray()
        if not self._begun and waiting[: len(_BOM)] == _BOM:
            waiting = waiting[len(_BOM) :]
        self._begun = True
        while len(waiting) >= 2 * self._piece_bytes:
            yield waiting[: self._piece_bytes].tobytes()
            waiting = waiting[self._piece_bytes :]
        if waiting:
            yield waiting.tobytes()


def _top_level(head: bytes) -> tuple[list[re.Match[bytes]], bool]:
    """The keys `features` and `type` of the object that begins a text, and whether that object ends in it."""
    brackets = BracketScanner().scan(head, strings=True)
    over = np.flatnonzero(brackets.depth < 1)
    end = over[0] if over.size else None
    texts = brackets.at[:end][brackets.depth[:end] == 1]
    keys = list(_KEY.finditer(head))
    at_top = np.isin(np.array([key.start() for key in keys], np.intp), texts)
    return [key for key, wanted in zip(keys, at_top, strict=True) if wanted], bool(over.size)


def is_feature_collection(head: bytes) -> bool | None:
    """Whether a body that begins so is a FeatureCollection; None when more of it is needed to tell."""
    if len(head) < len(_BOM) and _BOM.startswith(head):
        return None
    text = head.removeprefix(_BOM).lstrip(WHITE_SPACE)
    if not text.startswith(b"{"):
        return False if text else None
    keys, ended = _top_level(text)
    for key in keys:
        if key[1] == b"features":
            return True
        value = _TEXT.match(text, key.end())
        if value is not None:
            return value[0] == b'"FeatureCollection"'
        if text[key.end() : key.end() + 1] not in b'"':
            return False
    return False if ended else None


class FeatureCollectionSplitter:
    """Splits a GeoJSON FeatureCollection, whose members may come in any order. Source: RFC 7946 3.3.

    Attributes:
        members: those beside the features, when the body has ended.
    """

    def __init__(self, limits: Limits = _DEFAULTS) -> None:
        self.members: dict[str, object] = {}
        self._limits = limits
        self._buffer = _Buffer(limits.piece_bytes)
        self._head: bytes | None = b""  # until the features begin
        self._members_bytes = 0
        self._elements = Elements(_ARRAY_GRAMMAR, limits)
        self._tail: bytearray | None = None  # since they have ended
        self._tail_scanner = BracketScanner(1)
        self._ended = False

    def feed(self, data: bytes) -> list[Piece]:
        """The features that are whole by now, if there is enough of them. Raises: MalformedBody, TooLarge."""
        return [piece for text in self._buffer.add(data) for piece in self._take(text)]

    def finish(self) -> list[Piece]:
        """The last features of the body, which ends here. Raises: MalformedBody, TooLarge."""
        pieces = [piece for text in self._buffer.rest() for piece in self._take(text)]
        if self._ended:
            return pieces
        if self._elements.inside:
            raise MalformedBody(f"the body ends within feature {self._elements.count}", self._elements.count)
        if self._head is not None:
            raise MalformedBody("the body ends before its features" if self._head else "the body is empty")
        raise MalformedBody(f"the body ends behind {self._elements.count} features, before it is complete")

    def _take(self, text: bytes) -> Iterator[Piece]:
        if self._head is not None:
            text = self._take_head(self._head + text if self._head else text.lstrip(WHITE_SPACE))
        if self._head is None and self._tail is None:
            piece, end = self._elements.take(text)
            if piece is not None:
                yield piece
            text = self._end_features(text, end) if end is not None else b""
        if self._tail is not None and not self._ended:
            text = self._take_tail(text)
        if self._ended and text.strip(WHITE_SPACE):
            raise MalformedBody("something follows the end of the body's object")

    def _take_head(self, head: bytes) -> bytes:
        """What follows the bracket that begins the features; nothing while that has not come."""
        if head and not head.startswith(b"{"):
            raise MalformedBody("the body is no JSON object")
        keys, ended = _top_level(head)
        at = next((key.end() for key in keys if key[1] == b"features"), len(head))
        self._check_members(at, BracketScanner().scan(head[:at]))
        if at == len(head):
            if ended:
                raise MalformedBody("the body has no member named features")
            self._head = head
            return b""
        if head[at : at + 1] != b"[":
            raise MalformedBody("the member named features is no array")
        self._head, self._members_bytes = None, at
        self.members = _decode(head[:at] + b"0}")
        return head[at + 1 :]

    def _check_members(self, size: int, brackets: Brackets) -> None:
        if size > self._limits.members_bytes:
            raise TooLarge(f"the members beside the features are longer than {self._limits.members_bytes} bytes")
        if brackets.depth.max(initial=0) > self._limits.max_depth:
            raise MalformedBody(f"a member beside the features is nested deeper than {self._limits.max_depth} brackets")

    def _end_features(self, text: bytes, end: int) -> bytes:
        """What follows the bracket that ends the features."""
        if self._elements.announced:
            raise MalformedBody(f"feature {self._elements.count} is empty", self._elements.count)
        if text[end : end + 1] != b"]":
            raise MalformedBody("the array of features is not ended by a square bracket")
        self._tail = bytearray(b'{"features":0')
        return text[end + 1 :]

    def _take_tail(self, text: bytes) -> bytes:
        """What follows the bracket that ends the body's object."""
        assert self._tail is not None
        brackets = self._tail_scanner.scan(text)
        over = np.flatnonzero(brackets.depth < 1)
        end = int(brackets.at[over[0]]) + 1 if over.size else len(text)
        self._tail += text[:end]
        self._members_bytes += end
        self._check_members(self._members_bytes, brackets)
        if over.size:
            behind = _decode(bytes(self._tail))
            if behind.pop("features") != 0:
                raise MalformedBody("the body has several members named features")
            del self.members["features"]
            self.members |= behind
            self._ended = True
        return text[end:]


def _decode(text: bytes) -> dict[str, object]:
    try:
        members: dict[str, object] = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedBody("the members beside the features are not JSON") from error
    return members


class SequenceSplitter:
    """Splits a sequence of features: each behind a record separator, or else each on a line of its own.

    Source: RFC 8142 (GeoJSON text sequences), RFC 7464 2.1; geojson.org/geojson-l for lines.

    Attributes:
        members: none; a sequence has features only.
    """

    def __init__(self, limits: Limits = _DEFAULTS) -> None:
        self.members: dict[str, object] = {}
        self._limits = limits
        self._buffer = _Buffer(limits.piece_bytes)
        self._elements: Elements | None = None
        self._grammar = _LINE_GRAMMAR

    def feed(self, data: bytes) -> list[Piece]:
        """The features that are whole by now, if there is enough of them. Raises: MalformedBody, TooLarge."""
        return [piece for text in self._buffer.add(data) for piece in self._take(text)]

    def finish(self) -> list[Piece]:
        """The last features of the body, which ends here. Raises: MalformedBody, TooLarge."""
        pieces = [piece for text in self._buffer.rest() for piece in self._take(text)]
        if self._elements is None:
            return pieces
        # An object is whole when its brackets are, so the line feed may lack that RFC 7464 2.4 asks for behind numbers.
        if self._elements.inside or (self._grammar is _RECORD_GRAMMAR and self._elements.announced):
            raise MalformedBody(f"the body ends within feature {self._elements.count}", self._elements.count)
        return pieces

    def _take(self, text: bytes) -> Iterator[Piece]:
        if self._elements is None:
            text = text.lstrip(WHITE_SPACE)
            if not text:
                return
            self._grammar = _RECORD_GRAMMAR if text.startswith(_RECORD_GRAMMAR.separator) else _LINE_GRAMMAR
            self._elements = Elements(self._grammar, self._limits)
        piece, end = self._elements.take(text)
        if end is not None:
            raise MalformedBody(f"feature {self._elements.count} is no JSON object", self._elements.count)
        if piece is not None:
            yield piece
