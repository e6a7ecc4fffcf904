"""Geometries and boxes within CQL2 text: WKT to GeoJSON, which is what geometries are checked as.

Source: OGC 21-065r2, Annex B, geometryLiteral.
"""

from typing import Any

import orjson

from geosvc.cql2.building import Builder, make_number
from geosvc.cql2.names import COORDINATE_DEPTH, WKT
from geosvc.cql2.tokens import Token, TokenKind, Tokens


class WktReader:
    """Reads what stands behind the name of a geometry type."""

    def __init__(self, tokens: Tokens, builder: Builder) -> None:
        self._tokens = tokens
        self._builder = builder

    def read(self, name: Token) -> bytes:
        """The geometry as GeoJSON. Raises: InvalidFilter."""
        return orjson.dumps(self._geometry(name))

    def box(self) -> list[float]:
        """The numbers in parentheses. Raises: InvalidFilter."""
        self._tokens.expect("(")
        numbers = [self._number()]
        while self._tokens.has_sign(","):
            numbers.append(self._number())
        self._tokens.expect(")")
        return numbers

    def _geometry(self, name: Token) -> dict[str, Any]:
        geometry_type = WKT[name.word]
        if self._tokens.next.word == "Z":
            self._tokens.take()
        if geometry_type == "GeometryCollection":
            self._builder.enter(name.at)
            members = self._members()
            self._builder.leave()
            return {"type": geometry_type, "geometries": members}
        depth = COORDINATE_DEPTH[geometry_type]
        if depth == 0:
            self._tokens.expect("(")
            position = self._position()
            self._tokens.expect(")")
            return {"type": geometry_type, "coordinates": position}
        return {
            "type": geometry_type,
            "coordinates": self._coordinates(depth, geometry_type == "MultiPoint"),
        }

    def _members(self) -> list[dict[str, Any]]:
        self._tokens.expect("(")
        members = [self._member()]
        while self._tokens.has_sign(","):
            members.append(self._member())
        self._tokens.expect(")")
        return members

    def _member(self) -> dict[str, Any]:
        if self._tokens.next.word not in WKT:
            raise self._tokens.unexpected("a geometry")
        return self._geometry(self._tokens.take())

    def _coordinates(self, depth: int, in_parentheses: bool) -> list[Any]:
        """Positions, lists of them, and so on.

        Args:
            in_parentheses: whether each position may be in parentheses of its own.
        """
        self._tokens.expect("(")
        found = [self._element(depth, in_parentheses)]
        while self._tokens.has_sign(","):
            found.append(self._element(depth, in_parentheses))
        self._tokens.expect(")")
        return found

    def _element(self, depth: int, in_parentheses: bool) -> list[Any]:
        if depth > 1:
            return self._coordinates(depth - 1, in_parentheses)
        if in_parentheses and self._tokens.has_sign("("):
            position = self._position()
            self._tokens.expect(")")
            return position
        return self._position()

    def _position(self) -> list[float]:
        position = [self._number(), self._number()]
        while len(position) < 4 and (
            self._tokens.next.kind is TokenKind.NUMBER or self._tokens.next.text in ("-", "+")
        ):
            position.append(self._number())
        return position

    def _number(self) -> float:
        sign = -1.0 if self._tokens.has_sign("-") else 1.0
        if sign > 0:
            self._tokens.has_sign("+")
        if self._tokens.next.kind is not TokenKind.NUMBER:
            raise self._tokens.unexpected("a number")
        token = self._tokens.take()
        return sign * float(make_number(token.text, token.at))
