"""Reads the geometries and boxes in CQL2 text, which are WKT, and makes GeoJSON geometries of them.

Source: OGC 21-065r2, Annex B, geometryLiteral.
"""

from typing import Any

import orjson

from geosvc.cql2.caps import CapsChecker
from geosvc.cql2.literal_parsing import parse_number
from geosvc.cql2.names import COORDINATE_DEPTH, WKT
from geosvc.cql2.tokens import Token, TokenKind, Tokens

_MAX_POSITION_NUMBERS = 4


class WktReader:
    """Reads geometries from the tokens of a filter."""

    def __init__(self, tokens: Tokens, checker: CapsChecker) -> None:
        self._tokens = tokens
        self._checker = checker

    def read(self, name: Token) -> bytes:
        """Reads a geometry, and returns it as GeoJSON.

        Args:
            name: the name of the geometry type, which has been taken.
        Raises: InvalidFilter.
        """
        return orjson.dumps(self._geometry(name))

    def box(self) -> list[float]:
        """Reads numbers in parentheses. Raises: InvalidFilter."""
        self._tokens.expect_sign("(")
        numbers = [self._number()]
        while self._tokens.take_sign(","):
            numbers.append(self._number())
        self._tokens.expect_sign(")")
        return numbers

    def _geometry(self, name: Token) -> dict[str, Any]:
        geometry_type = WKT[name.word]
        self._tokens.take_word("Z")
        if geometry_type == "GeometryCollection":
            self._checker.enter(name.at)
            members = self._members()
            self._checker.leave()
            return {"type": geometry_type, "geometries": members}
        if geometry_type == "Point":
            coordinates: list[Any] = self._position_in_parentheses()
        else:
            depth = COORDINATE_DEPTH[geometry_type]
            coordinates = self._coordinates(depth, geometry_type == "MultiPoint")
        return {"type": geometry_type, "coordinates": coordinates}

    def _members(self) -> list[dict[str, Any]]:
        """The geometries of a collection."""
        self._tokens.expect_sign("(")
        members = [self._member()]
        while self._tokens.take_sign(","):
            members.append(self._member())
        self._tokens.expect_sign(")")
        return members

    def _member(self) -> dict[str, Any]:
        if self._tokens.next.word not in WKT:
            raise self._tokens.unexpected("a geometry")
        return self._geometry(self._tokens.take())

    def _coordinates(self, depth: int, may_enclose: bool) -> list[Any]:
        """A list in parentheses: of positions if `depth` is 1, else of lists.

        Args:
            may_enclose: whether each position may have parentheses of its own.
        """
        self._tokens.expect_sign("(")
        elements = [self._element(depth, may_enclose)]
        while self._tokens.take_sign(","):
            elements.append(self._element(depth, may_enclose))
        self._tokens.expect_sign(")")
        return elements

    def _element(self, depth: int, may_enclose: bool) -> list[Any]:
        if depth > 1:
            return self._coordinates(depth - 1, may_enclose)
        if may_enclose and self._tokens.next.is_sign("("):
            return self._position_in_parentheses()
        return self._position()

    def _position_in_parentheses(self) -> list[float]:
        self._tokens.expect_sign("(")
        position = self._position()
        self._tokens.expect_sign(")")
        return position

    def _position(self) -> list[float]:
        """Two to four numbers with blanks between them."""
        position = [self._number(), self._number()]
        while len(position) < _MAX_POSITION_NUMBERS and self._begins_number():
            position.append(self._number())
        return position

    def _begins_number(self) -> bool:
        token = self._tokens.next
        if token.kind is TokenKind.NUMBER:
            return True
        return token.is_sign("-") or token.is_sign("+")

    def _number(self) -> float:
        """A number, which may have a sign."""
        is_negative = self._tokens.take_sign("-")
        if not is_negative:
            self._tokens.take_sign("+")
        if self._tokens.next.kind is not TokenKind.NUMBER:
            raise self._tokens.unexpected("a number")
        token = self._tokens.take()
        number = float(parse_number(token.text, token.at))
        return -number if is_negative else number
