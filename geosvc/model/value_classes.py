"""How the values of a property are divided, so that a map can have a colour for each part."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NumberClasses:
    """Numbers in classes of about as many values each.

    Attributes:
        thresholds: the least number of each class but the first, ascending; empty where all numbers
            are equal.
        least: the least number; None where there is none.
        has_missing: whether there are features without a number.
    """

    thresholds: tuple[float, ...]
    least: float | None
    has_missing: bool


@dataclass(frozen=True, slots=True)
class CommonValues:
    """The most common values, as texts.

    Attributes:
        texts: the most common one first.
        has_others: whether there are other values, or features without one.
    """

    texts: tuple[str, ...]
    has_others: bool


ValueClasses = NumberClasses | CommonValues
