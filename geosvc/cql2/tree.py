"""The tree of a filter. CQL2 text and CQL2 JSON of the same filter are parsed to equal trees.

Each node knows where it is in the filter, for error messages. That does not count for equality.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from geosvc.model.bbox import Bbox
from geosvc.model.bounds import Bounds
from geosvc.model.spatial import AntimeridianImages

At = int | str
"""Where something is in a filter: in text the number of a character, from 1; in JSON a pointer."""

ComparisonOperator = Literal["=", "<>", "<", "<=", ">", ">="]
ArithmeticOperator = Literal["+", "-", "*", "/", "%", "div", "^"]
SpatialOperator = Literal[
    "intersects", "equals", "disjoint", "touches", "within", "overlaps", "crosses", "contains"
]
TemporalOperator = Literal[
    "after",
    "before",
    "contains",
    "disjoint",
    "during",
    "equals",
    "finishedby",
    "finishes",
    "intersects",
    "meets",
    "metby",
    "overlappedby",
    "overlaps",
    "startedby",
    "starts",
]
ArrayOperator = Literal["equals", "contains", "containedby", "overlaps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A node that knows where it is in the filter."""

    at: At = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Property(Located):
    """The value of a property."""

    name: str


@dataclass(frozen=True, slots=True)
class Text(Located):
    """A character string."""

    value: str


@dataclass(frozen=True, slots=True)
class Number(Located):
    """A number with all digits that were written."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Boolean(Located):
    """TRUE or FALSE, which is a value and a condition."""

    value: bool


@dataclass(frozen=True, slots=True)
class Date(Located):
    """A day."""

    value: date


@dataclass(frozen=True, slots=True)
class Timestamp(Located):
    """An instant, in UTC."""

    value: datetime


@dataclass(frozen=True, slots=True)
class IntervalLiteral(Located):
    """An interval from `start` to `end`, which belong to it.

    Attributes:
        start, end: None if the interval has no such end.
    """

    start: "Scalar | None"
    end: "Scalar | None"


@dataclass(frozen=True, slots=True)
class Native:
    """A geometry literal in the CRS in which it was written.

    Attributes:
        srid: the SRID of that CRS.
        ewkb: the geometry as EWKB, in axis order x, y.
    """

    srid: int
    ewkb: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Geometry(Located):
    """A geometry literal that has been checked. It has two dimensions.

    Attributes:
        ewkb: EWKB in longitude and latitude, SRID 4326.
        bounds: (xmin, ymin, xmax, ymax) in degrees. If the geometry crosses the antimeridian, xmax
            is above 180.
        native: the geometry in the CRS in which it was written; None if that is WGS 84.
        parts: the geometries of a collection of several types; empty for all other geometries.
        box: the box, if the literal was written as a box.
        across: the geometry if it crosses the antimeridian; else None.
    """

    ewkb: bytes = field(repr=False)
    bounds: Bounds
    native: "Native | None" = None
    parts: "tuple[Geometry, ...]" = ()
    box: Bbox | None = None
    across: AntimeridianImages | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Array(Located):
    """An array of values."""

    elements: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Function(Located):
    """A call of a function by its name, such as `lower(name)`."""

    name: str
    args: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Arithmetic(Located):
    """An arithmetic operation with two operands."""

    op: ArithmeticOperator
    left: "Scalar"
    right: "Scalar"


@dataclass(frozen=True, slots=True)
class Folded(Located):
    """A text whose case (CASEI) or accents (ACCENTI) are ignored."""

    what: Literal["casei", "accenti"]
    text: "Scalar"


@dataclass(frozen=True, slots=True)
class And(Located):
    """True if all of several conditions are true."""

    args: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Or(Located):
    """True if at least one of several conditions is true."""

    args: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not(Located):
    """True if a condition is false."""

    arg: "Condition"


@dataclass(frozen=True, slots=True)
class Comparison(Located):
    """A comparison of two scalars."""

    op: ComparisonOperator
    left: "Scalar"
    right: "Scalar"


@dataclass(frozen=True, slots=True)
class Like(Located):
    """True if a text matches a pattern: `%` matches any text, `_` any character."""

    text: "Scalar"
    pattern: "Scalar"


@dataclass(frozen=True, slots=True)
class Between(Located):
    """True if `low` <= `value` <= `high`."""

    value: "Scalar"
    low: "Scalar"
    high: "Scalar"


@dataclass(frozen=True, slots=True)
class In(Located):
    """True if a scalar equals one of several."""

    value: "Scalar"
    among: tuple["Scalar", ...]


@dataclass(frozen=True, slots=True)
class IsNull(Located):
    """True if a value is NULL."""

    value: "Value"


@dataclass(frozen=True, slots=True)
class Spatial(Located):
    """A spatial predicate: a relation of two geometries."""

    op: SpatialOperator
    left: "Value"
    right: "Value"


@dataclass(frozen=True, slots=True)
class Temporal(Located):
    """A temporal predicate: a relation of two instants or intervals."""

    op: TemporalOperator
    left: "Value"
    right: "Value"


@dataclass(frozen=True, slots=True)
class ArrayPredicate(Located):
    """An array predicate: a relation of two arrays as sets."""

    op: ArrayOperator
    left: "Value"
    right: "Value"


Scalar = Property | Text | Number | Boolean | Date | Timestamp | Arithmetic | Folded | Function
Value = Scalar | IntervalLiteral | Geometry | Array
Condition = (
    And
    | Or
    | Not
    | Comparison
    | Like
    | Between
    | In
    | IsNull
    | Spatial
    | Temporal
    | ArrayPredicate
    | Boolean
    | Function
    | Property
)
Node = Condition | Value
