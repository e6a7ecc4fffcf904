"""Parses what has a name and parentheses in CQL2 text: functions, predicates, literals.

Source: OGC 21-065r2, Annex B.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

from geosvc.cql2.caps import CapsChecker
from geosvc.cql2.literal_parsing import (
    GeometryReader,
    parse_date,
    parse_interval_end,
    parse_timestamp,
)
from geosvc.cql2.names import ARRAY, SPATIAL, TEMPORAL, WKT
from geosvc.cql2.narrowing import as_scalar, as_value
from geosvc.cql2.tokens import Token, TokenKind, Tokens
from geosvc.cql2.tree import (
    Array,
    ArrayPredicate,
    Date,
    Folded,
    Function,
    IntervalLiteral,
    Node,
    Scalar,
    Spatial,
    Temporal,
    Timestamp,
    Value,
)
from geosvc.cql2.wkt import WktReader
from geosvc.errors import InvalidFilter

_ParseNode = Callable[[], Node]


class CallParser:
    """Parses calls.

    The methods with a `name` are called when the name has been taken and `(` is next. All methods
    raise InvalidFilter. As in text.py their docstrings say what they take.

    Args:
        parse_value: parses a value, with arithmetic.
        parse_primary: parses a value without arithmetic.
    """

    def __init__(
        self,
        tokens: Tokens,
        checker: CapsChecker,
        geometries: GeometryReader,
        *,
        parse_value: _ParseNode,
        parse_primary: _ParseNode,
    ) -> None:
        self._tokens = tokens
        self._checker = checker
        self._check = checker.check
        self._geometries = geometries
        self._parse_value = parse_value
        self._parse_primary = parse_primary
        self._wkt = WktReader(tokens, checker)

    def is_next(self, name: Token) -> bool:
        """Whether the tokens after a name make a call of it: `(`, or `Z (` after a geometry."""
        if self._tokens.next.is_sign("("):
            return True
        if name.word not in WKT or self._tokens.next.word != "Z":
            return False
        return self._tokens.after_next.is_sign("(")

    def parse(self, name: Token) -> Node:
        """Parses a call of CQL2, or of a function."""
        parse_call = self._CALLS.get(name.word)
        if parse_call is None:
            return self.parse_function(name)
        return parse_call(self, name)

    def parse_function(self, name: Token) -> Node:
        """Parses `WORD "(" ")" | WORD "(" value {"," value} ")"`."""
        values: list[Value] = []
        if self._tokens.after_next.is_sign(")"):
            self._take_empty_parentheses()
        else:
            args = self.parse_listed(self._parse_value)
            values = [as_value(arg) for arg in args]
        node = Function(name.text, tuple(values), at=name.at)
        return self._check(node)

    def parse_listed(self, parse_element: _ParseNode) -> list[Node]:
        """Parses `"(" element {"," element} ")"`."""
        opening = self._tokens.expect_sign("(")
        self._checker.enter(opening.at)
        elements = [parse_element()]
        while self._tokens.take_sign(","):
            elements.append(parse_element())
        self._checker.leave()
        self._tokens.expect_sign(")")
        return elements

    def _take_empty_parentheses(self) -> None:
        self._tokens.expect_sign("(")
        self._tokens.expect_sign(")")

    # Calls that CQL2 defines

    def _parse_spatial(self, name: Token) -> Node:
        """Parses `S_… "(" value "," value ")"`."""
        left, right = self._parse_two(name, self._parse_value)
        operator = SPATIAL[name.word]
        node = Spatial(operator, left, right, at=name.at)
        return self._check(node)

    def _parse_temporal(self, name: Token) -> Node:
        """Parses `T_… "(" value "," value ")"`."""
        left, right = self._parse_two(name, self._parse_value)
        operator = TEMPORAL[name.word]
        node = Temporal(operator, left, right, at=name.at)
        return self._check(node)

    def _parse_array_predicate(self, name: Token) -> Node:
        """Parses `A_… "(" array_operand "," array_operand ")"`."""
        left, right = self._parse_two(name, self._parse_array_operand)
        operator = ARRAY[name.word]
        node = ArrayPredicate(operator, left, right, at=name.at)
        return self._check(node)

    def _parse_two(self, name: Token, parse_arg: _ParseNode) -> tuple[Value, Value]:
        """Parses `"(" arg "," arg ")"`."""
        args = self.parse_listed(parse_arg)
        if len(args) != 2:
            raise InvalidFilter(f"{name.word} takes two arguments, not {len(args)}", name.at)
        left, right = args
        return as_value(left), as_value(right)

    def _parse_array_operand(self) -> Node:
        """Parses `array | value`.

        Parentheses are always an array here: `(1)` has one element.
        """
        if self._tokens.next.is_sign("("):
            return self._parse_array()
        return self._parse_value()

    def _parse_array(self) -> Node:
        """Parses `"(" ")" | "(" element {"," element} ")"`."""
        opening = self._tokens.next
        values: list[Value] = []
        if self._tokens.after_next.is_sign(")"):
            self._take_empty_parentheses()
        else:
            elements = self.parse_listed(self._parse_element)
            values = [as_value(element) for element in elements]
        node = Array(tuple(values), at=opening.at)
        return self._check(node)

    def _parse_element(self) -> Node:
        """Parses `array | value`.

        `(1, 2)` is an inner array, `(1 + 2) * 3` is a value.
        """
        if self._tokens.begins_list():
            return self._parse_array()
        return self._parse_value()

    def _parse_folded(self, name: Token) -> Node:
        """Parses `(CASEI | ACCENTI) "(" value ")"`."""
        args = self.parse_listed(self._parse_value)
        if len(args) != 1:
            raise InvalidFilter(f"{name.word} takes one text", name.at)
        text = as_scalar(args[0])
        if name.word == "CASEI":
            return self._check(Folded("casei", text, at=name.at))
        return self._check(Folded("accenti", text, at=name.at))

    def _parse_date(self, name: Token) -> Node:
        """Parses `DATE "(" TEXT ")"`."""
        text = self._parse_enclosed_text()
        day = parse_date(text.text, text.at)
        return self._check(Date(day, at=name.at))

    def _parse_timestamp(self, name: Token) -> Node:
        """Parses `TIMESTAMP "(" TEXT ")"`."""
        text = self._parse_enclosed_text()
        instant = parse_timestamp(text.text, text.at)
        return self._check(Timestamp(instant, at=name.at))

    def _parse_enclosed_text(self) -> Token:
        """Parses `"(" TEXT ")"`. Returns the text."""
        self._tokens.expect_sign("(")
        if self._tokens.next.kind is not TokenKind.TEXT:
            raise self._tokens.unexpected("a text in single quotes")
        text = self._tokens.take()
        self._tokens.expect_sign(")")
        return text

    def _parse_interval(self, name: Token) -> Node:
        """Parses `INTERVAL "(" interval_end "," interval_end ")"`."""
        self._tokens.expect_sign("(")
        start = self._parse_interval_end()
        self._tokens.expect_sign(",")
        end = self._parse_interval_end()
        self._tokens.expect_sign(")")
        node = IntervalLiteral(start, end, at=name.at)
        return self._check(node)

    def _parse_interval_end(self) -> Scalar | None:
        """Parses `TEXT | primary`."""
        token = self._tokens.next
        if token.kind is not TokenKind.TEXT:
            return as_scalar(self._parse_primary())
        self._tokens.take()
        return parse_interval_end(token.text, token.at)

    def _parse_geometry(self, name: Token) -> Node:
        """Parses a geometry in WKT."""
        geojson = self._wkt.read(name)
        node = self._geometries.geometry(geojson, name.at)
        return self._check(node)

    def _parse_bbox(self, name: Token) -> Node:
        """Parses `BBOX "(" NUMBER {"," NUMBER} ")"`."""
        numbers = self._wkt.box()
        node = self._geometries.box(numbers, name.at)
        return self._check(node)

    _CALLS: ClassVar[Mapping[str, "Callable[[CallParser, Token], Node]"]] = {
        **dict.fromkeys(SPATIAL, _parse_spatial),
        **dict.fromkeys(TEMPORAL, _parse_temporal),
        **dict.fromkeys(ARRAY, _parse_array_predicate),
        **dict.fromkeys(WKT, _parse_geometry),
        "CASEI": _parse_folded,
        "ACCENTI": _parse_folded,
        "DATE": _parse_date,
        "TIMESTAMP": _parse_timestamp,
        "INTERVAL": _parse_interval,
        "BBOX": _parse_bbox,
    }
