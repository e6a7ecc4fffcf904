"""Bounds on the values of a column, in addition to its type."""

from dataclasses import dataclass
from decimal import Decimal

Number = int | float
Values = tuple[Number | str, ...]

_LENGTH_WORD_BYTES = 4  # PostgreSQL adds the size of a length word to these type modifiers
_MOST_EXACT_DIGITS = 18  # more digits are not exact as a JSON number
_MOST_DIGITS_OF_FLOAT = 300  # 10 to this power is a finite float


@dataclass(frozen=True, slots=True)
class ValueBounds:
    """Bounds that are all valid at the same time; None: no such bound.

    Attributes:
        minimum, maximum: of a number, inclusive.
        above, below: of a number, exclusive.
        min_length, max_length: of a text, in characters.
        one_of: all allowed numbers or texts, in order.
        whole: whether a number must be an integer.
    """

    minimum: Number | None = None
    maximum: Number | None = None
    above: Number | None = None
    below: Number | None = None
    min_length: int | None = None
    max_length: int | None = None
    one_of: Values | None = None
    whole: bool = False

    def __and__(self, other: "ValueBounds") -> "ValueBounds":
        """The bounds of a value that must meet both."""
        min_length = _larger(self.min_length, other.min_length)
        max_length = _smaller(self.max_length, other.max_length)
        return ValueBounds(
            minimum=_larger(self.minimum, other.minimum),
            maximum=_smaller(self.maximum, other.maximum),
            above=_larger(self.above, other.above),
            below=_smaller(self.below, other.below),
            min_length=_int_or_none(min_length),
            max_length=_int_or_none(max_length),
            one_of=_in_both(self.one_of, other.one_of),
            whole=self.whole or other.whole,
        )

    def allows(self, number: Decimal) -> bool:
        """Whether a number is within the bounds."""
        if self.one_of is not None and not _is_one_of(number, self.one_of):
            return False
        if self.whole and number != number.to_integral_value():
            return False
        return self._is_in_range(number)

    def _is_in_range(self, number: Decimal) -> bool:
        if self.minimum is not None and number < Decimal(self.minimum):
            return False
        if self.maximum is not None and number > Decimal(self.maximum):
            return False
        if self.above is not None and number <= Decimal(self.above):
            return False
        return self.below is None or number < Decimal(self.below)

    def for_numbers(self) -> "ValueBounds":
        """The bounds that can apply to a number."""
        one_of = self.one_of
        if one_of is not None and any(isinstance(value, str) for value in one_of):
            one_of = None
        return ValueBounds(
            minimum=self.minimum,
            maximum=self.maximum,
            above=self.above,
            below=self.below,
            one_of=one_of,
            whole=self.whole,
        )

    def for_texts(self) -> "ValueBounds":
        """The bounds that can apply to a text."""
        one_of = self.one_of
        if one_of is not None and not all(isinstance(value, str) for value in one_of):
            one_of = None
        return ValueBounds(min_length=self.min_length, max_length=self.max_length, one_of=one_of)


UNBOUNDED = ValueBounds()


def bounds_of_type_modifier(type_name: str, modifier: int) -> ValueBounds:
    """The bounds in a type modifier (`pg_attribute.atttypmod`): varchar(n), char(n), numeric(p, s).

    They do not contain the number of decimals: as `multipleOf` 0.01 in a JSON Schema it would
    refuse 1.13, because of binary floating point.
    """
    modifier -= _LENGTH_WORD_BYTES
    if modifier < 0:
        return UNBOUNDED
    if type_name in ("varchar", "bpchar"):
        return ValueBounds(max_length=modifier)
    if type_name == "numeric":
        return _numeric_bounds(modifier)
    return UNBOUNDED


def _numeric_bounds(modifier: int) -> ValueBounds:
    """The bounds of numeric(precision, scale).

    PostgreSQL stores the precision in the upper 16 bits, and the scale in the lower 11 as a signed
    number (src/backend/utils/adt/numeric.c).
    """
    precision = modifier >> 16 & 0xFFFF
    scale = ((modifier & 0x7FF) ^ 1024) - 1024
    integer_digits = precision - scale
    if scale <= 0 and integer_digits <= _MOST_EXACT_DIGITS:
        maximum = 10**integer_digits - 10**-scale
        return ValueBounds(minimum=-maximum, maximum=maximum, whole=True)
    if integer_digits > _MOST_DIGITS_OF_FLOAT:
        return ValueBounds(whole=scale <= 0)
    limit = float(f"1e{integer_digits}")
    return ValueBounds(above=-limit, below=limit, whole=scale <= 0)


def _larger(first: Number | None, second: Number | None) -> Number | None:
    if first is None or second is None:
        return second if first is None else first
    return max(first, second)


def _smaller(first: Number | None, second: Number | None) -> Number | None:
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)


def _int_or_none(number: Number | None) -> int | None:
    return None if number is None else int(number)


def _in_both(first: Values | None, second: Values | None) -> Values | None:
    """The values that both allow, in the order of the first; None: no restriction."""
    if first is None:
        return second
    if second is None:
        return first
    return tuple(value for value in first if value in second)


def _is_one_of(number: Decimal, allowed: Values) -> bool:
    return any(number == Decimal(value) for value in allowed)
