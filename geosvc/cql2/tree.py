"""The tree that CQL2 in text and in JSON are parsed to: the same filter gives equal trees, wherever its parts stood.

A node knows where it stood, for what is said of it: a place in the text, counted from 1, or a pointer into the JSON.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from geosvc.model.bbox import Bbox

At = int | str
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
class Placed:
    """A node that knows where it stood."""

    at: At = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Property(Placed):
    """The value of a property."""

    name: str


@dataclass(frozen=True, slots=True)
class Text(Placed):
    """A character string."""

    value: str


@dataclass(frozen=True, slots=True)
class Number(Placed):
    """A number with its digits."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Boolean(Placed):
    """TRUE or FALSE: a value, and a condition as well."""

    value: bool


@dataclass(frozen=True, slots=True)
class Date(Placed):
    """A day."""

    value: date


@dataclass(frozen=True, slots=True)
class Timestamp(Placed):
    """An instant, in UTC."""

    value: datetime


@dataclass(frozen=True, slots=True)
class IntervalLiteral(Placed):
    """From an instant to another, both within; None is unbounded."""

    start: "Scalar | None"
    end: "Scalar | None"


@dataclass(frozen=True, slots=True)
class Native:
    """A geometry in the CRS that it was given in.

    Attributes:
        ewkb: x before y.
    """

    srid: int
    ewkb: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Geometry(Placed):
    """A geometry literal, checked and in two dimensions.

    Attributes:
        ewkb: in longitude and latitude, SRID 4326.
        bounds: (xmin, ymin, xmax, ymax) of it, degrees; across the antimeridian east is beyond 180.
        native: EWKB in the CRS that it was given in; None where that is longitude and latitude.
        parts: of a collection of different types, which few operators can be asked about.
        box: the box that it is, if it is one.
        across: EWKB of what lies on both sides of the antimeridian, whole: east of it, west of it, and both of these.
    """

    ewkb: bytes = field(repr=False)
    bounds: tuple[float, float, float, float]
    native: "Native | None" = None
    parts: "tuple[Geometry, ...]" = ()
    box: Bbox | None = None
    across: tuple[bytes, bytes, bytes] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Array(Placed):
    """Elements in parentheses."""

    elements: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Function(Placed):
    """A function of the service's own, by its name as it was written."""

    name: str
    args: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Arithmetic(Placed):
    """Two numbers and what is made of them."""

    op: ArithmeticOperator
    left: "Scalar"
    right: "Scalar"


@dataclass(frozen=True, slots=True)
class Folded(Placed):
    """A text without its case (CASEI) or without its accents (ACCENTI)."""

    what: Literal["casei", "accenti"]
    text: "Scalar"


@dataclass(frozen=True, slots=True)
class And(Placed):
    """All of them hold."""

    args: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Or(Placed):
    """One of them holds."""

    args: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not(Placed):
    """It does not hold."""

    arg: "Condition"


@dataclass(frozen=True, slots=True)
class Comparison(Placed):
    """Two scalars and how they compare."""

    op: ComparisonOperator
    left: "Scalar"
    right: "Scalar"


@dataclass(frozen=True, slots=True)
class Like(Placed):
    """A text matches a pattern, in which % is any text and _ any character."""

    text: "Scalar"
    pattern: "Scalar"


@dataclass(frozen=True, slots=True)
class Between(Placed):
    """A scalar lies between two, or is one of them."""

    value: "Scalar"
    low: "Scalar"
    high: "Scalar"


@dataclass(frozen=True, slots=True)
class In(Placed):
    """A scalar is one of several."""

    value: "Scalar"
    among: tuple["Scalar", ...]


@dataclass(frozen=True, slots=True)
class IsNull(Placed):
    """There is no value."""

    value: "Value"


@dataclass(frozen=True, slots=True)
class Spatial(Placed):
    """How two geometries lie to each other."""

    op: SpatialOperator
    left: "Value"
    right: "Value"


@dataclass(frozen=True, slots=True)
class Temporal(Placed):
    """How two times lie to each other."""

    op: TemporalOperator
    left: "Value"
    right: "Value"


@dataclass(frozen=True, slots=True)
class ArrayPredicate(Placed):
    """How two arrays relate, as sets."""

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

SCALARS = (Property, Text, Number, Boolean, Date, Timestamp, Arithmetic, Folded, Function)
VALUES = (*SCALARS, IntervalLiteral, Geometry, Array)
CONDITIONS = (
    And,
    Or,
    Not,
    Comparison,
    Like,
    Between,
    In,
    IsNull,
    Spatial,
    Temporal,
    ArrayPredicate,
    Boolean,
    Function,
    Property,
)
