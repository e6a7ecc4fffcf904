"""What values a column may have beyond what its type allows."""

from dataclasses import dataclass
from decimal import Decimal

Number = int | float
_LENGTH_OVERHEAD = 4  # of PostgreSQL's type modifiers: the size of a length word


def _largest(*values: Number | None) -> Number | None:
    return max((each for each in values if each is not None), default=None)


def _smallest(*values: Number | None) -> Number | None:
    return min((each for each in values if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every one of them holds; None is no bound.

    Attributes:
        minimum, maximum: the least and the greatest number.
        above, below: numbers are greater and less than these.
        min_length, max_length: characters of a text.
        one_of: the only numbers or texts that there are, in their order.
        whole: whether a number has no fraction.
    """

    minimum: Number | None = None
    maximum: Number | None = None
    above: Number | None = None
    below: Number | None = None
    min_length: int | None = None
    max_length: int | None = None
    one_of: tuple[Number | str, ...] | None = None
    whole: bool = False

    def __and__(self, other: "Bounds") -> "Bounds":
        """What both allow."""
        one_of = self.one_of if other.one_of is None else other.one_of
        if self.one_of is not None and other.one_of is not None:
            one_of = tuple(each for each in self.one_of if each in other.one_of)
        lengths = (
            _largest(self.min_length, other.min_length),
            _smallest(self.max_length, other.max_length),
        )
        return Bounds(
            minimum=_largest(self.minimum, other.minimum),
            maximum=_smallest(self.maximum, other.maximum),
            above=_largest(self.above, other.above),
            below=_smallest(self.below, other.below),
            min_length=None if lengths[0] is None else int(lengths[0]),
            max_length=None if lengths[1] is None else int(lengths[1]),
            one_of=one_of,
            whole=self.whole or other.whole,
        )

    def allow(self, number: Decimal) -> bool:
        """Whether a number is within them."""
        return (
            (self.minimum is None or number >= Decimal(self.minimum))
            and (self.maximum is None or number <= Decimal(self.maximum))
            and (self.above is None or number > Decimal(self.above))
            and (self.below is None or number < Decimal(self.below))
            and (self.one_of is None or any(number == Decimal(each) for each in self.one_of))
            and (not self.whole or number == number.to_integral_value())
        )

    def of_numbers(self) -> "Bounds":
        """Those of them that a number can have."""
        one_of = (
            None
            if self.one_of is None or any(isinstance(each, str) for each in self.one_of)
            else self.one_of
        )
        return Bounds(
            self.minimum, self.maximum, self.above, self.below, one_of=one_of, whole=self.whole
        )

    def of_texts(self) -> "Bounds":
        """Those of them that a text can have."""
        one_of = (
            self.one_of
            if self.one_of is not None and all(isinstance(each, str) for each in self.one_of)
            else None
        )
        return Bounds(min_length=self.min_length, max_length=self.max_length, one_of=one_of)


ANYTHING = Bounds()


def bounds_of_modifier(type_name: str, modifier: int) -> Bounds:
    """What a type modifier (`pg_attribute.atttypmod`) of a built-in type says: varchar(n), char(n), numeric(p, s).

    A fraction's number of digits is left out: `multipleOf` 0.01 refuses 1.13 in binary floating point.
    """
    modifier -= _LENGTH_OVERHEAD
    if modifier < 0:
        return ANYTHING
    if type_name in ("varchar", "bpchar"):
        return Bounds(max_length=modifier)
    if type_name != "numeric":
        return ANYTHING
    precision, scale = modifier >> 16 & 0xFFFF, ((modifier & 0x7FF) ^ 1024) - 1024
    if scale > 0 or precision - scale > 18:  # beyond, its bounds are no exact JSON numbers
        limit = float(f"1e{precision - scale}") if precision - scale <= 300 else None
        return Bounds(above=None if limit is None else -limit, below=limit, whole=scale <= 0)
    limit = 10 ** (precision - scale) - 10**-scale
    return Bounds(minimum=-limit, maximum=limit, whole=True)
