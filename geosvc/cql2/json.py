"""CQL2 JSON to the tree. Source: OGC 21-065r2, 8.3 and its schema cql2.json."""

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import orjson

from geosvc.cql2.building import (
    Builder,
    Caps,
    GeometryReader,
    condition,
    make_date,
    make_edge,
    make_number,
    make_timestamp,
    scalar,
    value_of,
)
from geosvc.cql2.names import ARRAY, SPATIAL, TEMPORAL, WKT
from geosvc.cql2.tree import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Array,
    ArrayOperator,
    ArrayPredicate,
    Between,
    Boolean,
    Comparison,
    ComparisonOperator,
    Condition,
    Date,
    Folded,
    Function,
    In,
    IntervalLiteral,
    IsNull,
    Like,
    Node,
    Not,
    Number,
    Or,
    Property,
    Scalar,
    Spatial,
    SpatialOperator,
    Temporal,
    TemporalOperator,
    Text,
    Timestamp,
)
from geosvc.errors import InvalidFilter

_GEOMETRIES = frozenset(WKT.values())


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number is out of range") from None


_DECODER = msgspec.json.Decoder(float_hook=_decimal)


class _Parser:
    def __init__(self, caps: Caps, geometries: GeometryReader) -> None:
        self._builder = Builder(caps)
        self._geometries = geometries

    def node(self, value: Any, at: str) -> Node:
        """Whatever stands there."""
        if isinstance(value, bool):
            return self._builder.made(Boolean(value, at=at))
        if isinstance(value, int | Decimal):
            return self._builder.made(Number(make_number(str(value), at), at=at))
        if isinstance(value, str):
            return self._builder.made(Text(self._text(value, at), at=at))
        if isinstance(value, list):
            return self._within(at, lambda: self._array(value, at))
        if isinstance(value, dict):
            return self._within(at, lambda: self._object(value, at))
        raise InvalidFilter("null is no value of CQL2; ask with isNull", at)

    def _within(self, at: str, made: Callable[[], Node]) -> Node:
        self._builder.enter(at)
        node = made()
        self._builder.leave()
        return node

    def _text(self, value: Any, at: str) -> str:
        if not isinstance(value, str):
            raise InvalidFilter("a text was expected", at)
        if "\0" in value:
            raise InvalidFilter("a text holds a NUL character", at)
        return value

    def _array(self, values: list[Any], at: str) -> Node:
        elements = tuple(
            value_of(self.node(each, f"{at}/{place}")) for place, each in enumerate(values)
        )
        return self._builder.made(Array(elements, at=at))

    def _scalars(self, values: Sequence[Any], at: str) -> tuple[Scalar, ...]:
        return tuple(scalar(self.node(each, f"{at}/{place}")) for place, each in enumerate(values))

    def _object(self, value: dict[str, Any], at: str) -> Node:
        if "op" in value:
            return self._operator(value, at)
        if "property" in value:
            return self._builder.made(
                Property(self._text(value["property"], f"{at}/property"), at=at)
            )
        if "date" in value or "timestamp" in value:
            return self._instant(value, at)
        if "interval" in value:
            return self._interval(value["interval"], f"{at}/interval")
        if "bbox" in value and "type" not in value:
            return self._box(value["bbox"], f"{at}/bbox")
        if isinstance(value.get("type"), str) and value["type"] in _GEOMETRIES:
            return self._geometry(value, at)
        raise InvalidFilter(
            "an object with op, property, date, timestamp, interval, bbox or a geometry was expected",
            at,
        )

    def _geometry(self, value: dict[str, Any], at: str) -> Node:
        try:
            geojson = orjson.dumps(value, default=float)
        except orjson.JSONEncodeError:
            raise InvalidFilter(
                "the geometry is nested too deeply, or has a number out of range", at
            ) from None
        return self._builder.made(self._geometries.geometry(geojson, at))

    def _instant(self, value: dict[str, Any], at: str) -> Node:
        member = "date" if "date" in value else "timestamp"
        text, place = self._text(value[member], f"{at}/{member}"), f"{at}/{member}"
        made = (
            Date(make_date(text, place), at=at)
            if member == "date"
            else Timestamp(make_timestamp(text, place), at=at)
        )
        return self._builder.made(made)

    def _interval(self, edges: Any, at: str) -> Node:
        if not isinstance(edges, list) or len(edges) != 2:
            raise InvalidFilter("an array of two was expected", at)
        start, end = (self._edge(edge, f"{at}/{place}") for place, edge in enumerate(edges))
        return self._builder.made(IntervalLiteral(start, end, at=at))

    def _edge(self, edge: Any, at: str) -> Scalar | None:
        return (
            make_edge(self._text(edge, at), at)
            if isinstance(edge, str)
            else scalar(self.node(edge, at))
        )

    def _box(self, numbers: Any, at: str) -> Node:
        if not isinstance(numbers, list) or any(
            isinstance(each, bool) or not isinstance(each, int | Decimal) for each in numbers
        ):
            raise InvalidFilter("an array of numbers was expected", at)
        floats = [float(make_number(str(each), at)) for each in numbers]
        return self._builder.made(self._geometries.box(floats, at))

    def _operator(self, value: dict[str, Any], at: str) -> Node:
        op, args = value["op"], value.get("args", [])
        if not isinstance(op, str):
            raise InvalidFilter("the name of an operator or a function was expected", f"{at}/op")
        if not isinstance(args, list):
            raise InvalidFilter("an array of arguments was expected", f"{at}/args")
        if op in ("and", "or"):
            return self._junction(op, args, at)
        if op not in _MAKERS:
            return self._builder.made(
                Function(op, tuple(map(value_of, self._nodes(args, at))), at=at)
            )
        number, make = _MAKERS[op]
        if len(args) != number:
            raise InvalidFilter(
                f"{op} takes {number} argument{'s' * (number > 1)}, not {len(args)}", f"{at}/args"
            )
        return self._builder.made(
            self._in(args, at) if op == "in" else make(self._nodes(args, at), at)
        )

    def _nodes(self, args: list[Any], at: str) -> tuple[Node, ...]:
        return tuple(self.node(each, f"{at}/args/{place}") for place, each in enumerate(args))

    def _junction(self, op: str, args: list[Any], at: str) -> Node:
        if len(args) < 2:
            raise InvalidFilter(f"{op} takes two conditions or more", f"{at}/args")
        each = tuple(map(condition, self._nodes(args, at)))
        return self._builder.made(And(each, at=at) if op == "and" else Or(each, at=at))

    def _in(self, args: list[Any], at: str) -> Node:
        if not isinstance(args[1], list) or not args[1]:
            raise InvalidFilter("an array of one value or more was expected", f"{at}/args/1")
        value = scalar(self.node(args[0], f"{at}/args/0"))
        return In(value, self._scalars(args[1], f"{at}/args/1"), at=at)


def _like(args: Sequence[Node], at: str) -> Like:
    text, pattern = map(scalar, args)
    inner = pattern
    while isinstance(inner, Folded):
        inner = inner.text
    if not isinstance(inner, Text):
        raise InvalidFilter("a pattern was expected", f"{at}/args/1")
    return Like(text, pattern, at=at)


def _camel(name: str) -> str:
    """T_FINISHEDBY in text is t_finishedBy in JSON."""
    return name.lower().removesuffix("by") + "By" if name.endswith("BY") else name.lower()


_Maker = Callable[[Sequence[Any], str], Node]


def _comparison(op: ComparisonOperator) -> _Maker:
    return lambda args, at: Comparison(op, *map(scalar, args), at=at)


def _arithmetic(op: ArithmeticOperator) -> _Maker:
    return lambda args, at: Arithmetic(op, *map(scalar, args), at=at)


def _spatial(op: SpatialOperator) -> _Maker:
    return lambda args, at: Spatial(op, *args, at=at)


def _temporal(op: TemporalOperator) -> _Maker:
    return lambda args, at: Temporal(op, *args, at=at)


def _array(op: ArrayOperator) -> _Maker:
    return lambda args, at: ArrayPredicate(op, *args, at=at)


_COMPARISONS: Sequence[ComparisonOperator] = ("=", "<>", "<", "<=", ">", ">=")
_ARITHMETIC: Sequence[ArithmeticOperator] = ("+", "-", "*", "/", "%", "div", "^")
# by operator: how many arguments it takes, and what is made of them
_MAKERS: dict[str, tuple[int, _Maker]] = {
    **{op: (2, _comparison(op)) for op in _COMPARISONS},
    **{op: (2, _arithmetic(op)) for op in _ARITHMETIC},
    **{_camel(name): (2, _spatial(op)) for name, op in SPATIAL.items()},
    **{_camel(name): (2, _temporal(op)) for name, op in TEMPORAL.items()},
    **{_camel(name): (2, _array(op)) for name, op in ARRAY.items()},
    "not": (1, lambda args, at: Not(condition(args[0]), at=at)),
    "isNull": (1, lambda args, at: IsNull(value_of(args[0]), at=at)),
    "casei": (1, lambda args, at: Folded("casei", scalar(args[0]), at=at)),
    "accenti": (1, lambda args, at: Folded("accenti", scalar(args[0]), at=at)),
    "like": (2, _like),
    "between": (3, lambda args, at: Between(*map(scalar, args), at=at)),
    "in": (2, lambda args, at: In(*args, at=at)),
}


def parse_json(text: bytes, caps: Caps, geometries: GeometryReader, root: str = "") -> Condition:
    """The tree of a filter in CQL2 JSON.

    Args:
        root: the pointer to the filter, where it is part of a document.
    Raises: InvalidFilter, with a pointer to the fault and what was expected there.
    """
    if len(text) > caps.length:
        raise InvalidFilter(f"the filter has more than {caps.length} bytes", root)
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise InvalidFilter("the filter is nested too deeply", root) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidFilter(f"the filter is no JSON: {error}", root) from None
    return condition(_Parser(caps, geometries).node(value, root))
