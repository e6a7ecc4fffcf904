"""Parses CQL2 JSON to the tree. Source: OGC 21-065r2, 8.3 and its schema cql2.json."""

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import orjson

from geosvc.cql2.caps import Caps, CapsChecker
from geosvc.cql2.json_operators import OPERATORS, JsonOperation, check_count
from geosvc.cql2.literal_parsing import (
    GeometryReader,
    parse_date,
    parse_interval_end,
    parse_number,
    parse_timestamp,
)
from geosvc.cql2.names import WKT
from geosvc.cql2.narrowing import as_condition, as_scalar, as_value
from geosvc.cql2.tree import (
    And,
    Array,
    Boolean,
    Condition,
    Date,
    Function,
    In,
    IntervalLiteral,
    Node,
    Number,
    Or,
    Property,
    Scalar,
    Text,
    Timestamp,
    Value,
)
from geosvc.errors import InvalidFilter

_GEOMETRY_TYPES = frozenset(WKT.values())


def _decode_float(text: str) -> Decimal:
    """A number of JSON with all its digits."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number is out of range") from None


def _as_text(value: Any, at: str) -> str:
    """The value, if it is a text that PostgreSQL can take. Raises: InvalidFilter."""
    if not isinstance(value, str):
        raise InvalidFilter("a text was expected", at)
    if "\0" in value:
        raise InvalidFilter("a text holds a NUL character", at)
    return value


def _is_number(value: Any) -> bool:
    is_boolean = isinstance(value, bool)  # which Python counts among the integers
    return isinstance(value, int | Decimal) and not is_boolean


_DECODER = msgspec.json.Decoder(float_hook=_decode_float)


class _JsonParser:
    """Makes nodes of decoded JSON. Each method raises InvalidFilter.

    `at` is the pointer to the value that a method parses. `_check` counts every node that is made.
    """

    def __init__(self, caps: Caps, geometries: GeometryReader) -> None:
        self._checker = CapsChecker(caps)
        self._check = self._checker.check
        self._geometries = geometries

    def parse(self, value: Any, at: str) -> Node:
        """A node of any kind, with all nodes below it."""
        if isinstance(value, bool):
            return self._check(Boolean(value, at=at))
        if isinstance(value, int | Decimal):
            return self._check(Number(parse_number(str(value), at), at=at))
        if isinstance(value, str):
            return self._check(Text(_as_text(value, at), at=at))
        if value is None:
            raise InvalidFilter("null is no value of CQL2; ask with isNull", at)
        self._checker.enter(at)
        if isinstance(value, list):
            node = self._parse_array(value, at)
        else:
            node = self._parse_object(value, at)
        self._checker.leave()
        return node

    def _parse_array(self, values: list[Any], at: str) -> Node:
        elements: list[Value] = []
        for index, value in enumerate(values):
            elements.append(as_value(self.parse(value, f"{at}/{index}")))
        return self._check(Array(tuple(elements), at=at))

    def _parse_object(self, value: dict[str, Any], at: str) -> Node:
        """An object, whose kind follows from the members that it has."""
        if "op" in value:
            return self._parse_operation(value, at)
        if "property" in value:
            name = _as_text(value["property"], f"{at}/property")
            return self._check(Property(name, at=at))
        if "date" in value or "timestamp" in value:
            return self._parse_instant(value, at)
        if "interval" in value:
            return self._parse_interval(value["interval"], f"{at}/interval")
        if "bbox" in value and "type" not in value:
            return self._parse_box(value["bbox"], f"{at}/bbox")
        geometry_type = value.get("type")
        if isinstance(geometry_type, str) and geometry_type in _GEOMETRY_TYPES:
            return self._parse_geometry(value, at)
        raise InvalidFilter(
            "an object with op, property, date, timestamp, interval, bbox or a geometry was "
            "expected",
            at,
        )

    # Literals

    def _parse_instant(self, value: dict[str, Any], at: str) -> Node:
        """An object with `date` or `timestamp`."""
        if "date" in value:
            pointer = f"{at}/date"
            text = _as_text(value["date"], pointer)
            day = parse_date(text, pointer)
            return self._check(Date(day, at=at))
        pointer = f"{at}/timestamp"
        text = _as_text(value["timestamp"], pointer)
        instant = parse_timestamp(text, pointer)
        return self._check(Timestamp(instant, at=at))

    def _parse_interval(self, ends: Any, at: str) -> Node:
        if not isinstance(ends, list) or len(ends) != 2:
            raise InvalidFilter("an array of two was expected", at)
        start = self._parse_interval_end(ends[0], f"{at}/0")
        end = self._parse_interval_end(ends[1], f"{at}/1")
        return self._check(IntervalLiteral(start, end, at=at))

    def _parse_interval_end(self, end: Any, at: str) -> Scalar | None:
        if isinstance(end, str):
            return parse_interval_end(_as_text(end, at), at)
        return as_scalar(self.parse(end, at))

    def _parse_geometry(self, value: dict[str, Any], at: str) -> Node:
        try:
            geojson = orjson.dumps(value, default=float)
        except orjson.JSONEncodeError:
            raise InvalidFilter(
                "the geometry is nested too deeply, or has a number out of range", at
            ) from None
        return self._check(self._geometries.geometry(geojson, at))

    def _parse_box(self, values: Any, at: str) -> Node:
        if not isinstance(values, list) or not all(map(_is_number, values)):
            raise InvalidFilter("an array of numbers was expected", at)
        numbers = [float(parse_number(str(value), at)) for value in values]
        return self._check(self._geometries.box(numbers, at))

    # Operators and functions

    def _parse_operation(self, value: dict[str, Any], at: str) -> Node:
        """An object with `op` and `args`."""
        op = value["op"]
        args = value.get("args", [])
        if not isinstance(op, str):
            raise InvalidFilter("the name of an operator or a function was expected", f"{at}/op")
        if not isinstance(args, list):
            raise InvalidFilter("an array of arguments was expected", f"{at}/args")
        if op in ("and", "or"):
            return self._parse_junction(op, args, at)
        if op == "in":
            return self._parse_in(args, at)
        operator = OPERATORS.get(op)
        if operator is None:
            return self._parse_function(op, args, at)
        check_count(op, args, operator.count, at)
        nodes = self._parse_args(args, at)
        node = operator.make(JsonOperation(op, nodes, at))
        return self._check(node)

    def _parse_function(self, name: str, args: list[Any], at: str) -> Node:
        values = [as_value(arg) for arg in self._parse_args(args, at)]
        return self._check(Function(name, tuple(values), at=at))

    def _parse_args(self, args: list[Any], at: str) -> list[Node]:
        nodes: list[Node] = []
        for index, arg in enumerate(args):
            nodes.append(self.parse(arg, f"{at}/args/{index}"))
        return nodes

    def _parse_junction(self, op: str, args: list[Any], at: str) -> Node:
        """Two conditions or more, with `and` or `or` between them."""
        if len(args) < 2:
            raise InvalidFilter(f"{op} takes two conditions or more", f"{at}/args")
        conditions = [as_condition(arg) for arg in self._parse_args(args, at)]
        if op == "and":
            return self._check(And(tuple(conditions), at=at))
        return self._check(Or(tuple(conditions), at=at))

    def _parse_in(self, args: list[Any], at: str) -> Node:
        """The operator `in`, whose second argument is an array."""
        check_count("in", args, 2, at)
        tested, values = args
        if not isinstance(values, list) or not values:
            raise InvalidFilter("an array of one value or more was expected", f"{at}/args/1")
        value = as_scalar(self.parse(tested, f"{at}/args/0"))
        members: list[Scalar] = []
        for index, member in enumerate(values):
            members.append(as_scalar(self.parse(member, f"{at}/args/1/{index}")))
        return self._check(In(value, tuple(members), at=at))


def parse_json(text: bytes, caps: Caps, geometries: GeometryReader, root: str = "") -> Condition:
    """Parses a filter in CQL2 JSON.

    Args:
        root: the pointer to the filter, if it is part of a document.
    Raises: InvalidFilter, with a pointer to the mistake and what was expected there.
    """
    if len(text) > caps.length:
        raise InvalidFilter(f"the filter has more than {caps.length} bytes", root)
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise InvalidFilter("the filter is nested too deeply", root) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidFilter(f"the filter is no JSON: {error}", root) from None
    return as_condition(_JsonParser(caps, geometries).parse(value, root))
