"""The colours of a map: expressions of MapLibre styles, and their legends.

All colours have about the same lightness, so that they can be told from a white and from a black
background.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from geosvc.model.value_classes import CommonValues, NumberClasses, ValueClasses

COLOURS = (
    "#2b7fd4",
    "#d9580f",
    "#2f9e44",
    "#a346c2",
    "#c98a00",
    "#0c93a5",
    "#d6336c",
    "#7a62e0",
    "#8c6d5a",
    "#6b9410",
)
_RAMP = ("#4c68dd", "#8f55cf", "#c94c9c", "#e3675c", "#e8963c")
_OTHER = "#8a8f98"
_RAMP_PLACES: dict[int, Sequence[int]] = {1: (2,), 2: (0, 4), 3: (0, 2, 4), 4: (0, 1, 3, 4)}

LegendEntry = dict[str, str]
Expression = str | list[Any]
"""A colour, or an expression of the style specification that has one as its value."""


@dataclass(frozen=True, slots=True)
class Colouring:
    """The colour of the features of a layer.

    Attributes:
        legend: what each colour means.
    """

    colour: Expression
    legend: tuple[LegendEntry, ...]


def one_colour(title: str, colour: str) -> Colouring:
    """The same colour for all features of a collection.

    Args:
        title: of the collection.
    """
    return Colouring(colour, (_entry(title, colour),))


def distinct_colours(places: Sequence[int]) -> list[str]:
    """A colour for each collection of a map, by its place among all collections.

    A collection has the same colour on all maps, unless one before it on this map has that colour.
    """
    chosen: list[str] = []
    for place in places:
        candidates = [COLOURS[(place + step) % len(COLOURS)] for step in range(len(COLOURS))]
        free = [colour for colour in candidates if colour not in chosen]
        chosen.append((free or candidates)[0])
    return chosen


def colour_by(name: str, classes: ValueClasses, *, is_crowded: bool) -> Colouring:
    """A colour for each class of the values of a property.

    Args:
        name: of the property.
        is_crowded: whether points may stand for several features, which have no value together.
    """
    if isinstance(classes, NumberClasses):
        colouring = _by_number(name, classes)
    else:
        colouring = _by_text(name, classes)
    if not is_crowded:
        return colouring
    return Colouring(colouring.colour, (*colouring.legend, _entry("several features", _OTHER)))


def _by_number(name: str, classes: NumberClasses) -> Colouring:
    if classes.least is None:
        return Colouring(_OTHER, (_entry("no value", _OTHER),))
    count = len(classes.thresholds) + 1
    places = _RAMP_PLACES.get(count, range(len(_RAMP)))
    ramp = [_RAMP[place] for place in places]
    colour: Expression = ramp[0]
    if classes.thresholds:
        # with bigint=string a tile has large numbers as texts
        colour = ["step", ["to-number", ["get", name]], ramp[0]]
        for threshold, each in zip(classes.thresholds, ramp[1:], strict=True):
            colour += [_number(threshold), each]
    labels = _number_labels(classes)
    legend = [_entry(label, each) for label, each in zip(labels, ramp, strict=True)]
    if classes.has_missing:
        legend.append(_entry("no value", _OTHER))
    return Colouring(_if_present(name, colour), tuple(legend))


def _number_labels(classes: NumberClasses) -> list[str]:
    texts = [_number_text(each) for each in classes.thresholds]
    if not texts:
        return [_number_text(classes.least or 0.0)]
    between = [f"{low} to {high}" for low, high in pairwise(texts)]
    return [f"below {texts[0]}", *between, f"{texts[-1]} and more"]


def _by_text(name: str, common: CommonValues) -> Colouring:
    legend = []
    match: list[Any] = ["match", ["to-string", ["get", name]]]
    for text, colour in zip(common.texts, COLOURS, strict=False):
        match += [text, colour]
        legend.append(_entry(text or "empty", colour))
    if common.has_others or not legend:
        legend.append(_entry("other", _OTHER))
    if not common.texts:
        return Colouring(_OTHER, tuple(legend))
    return Colouring(_if_present(name, [*match, _OTHER]), tuple(legend))


def _if_present(name: str, colour: Expression) -> Expression:
    return ["case", ["has", name], colour, _OTHER]


def _entry(label: str, colour: str) -> LegendEntry:
    return {"label": label, "color": colour}


def _number(number: float) -> float | int:
    if number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number


def _number_text(number: float) -> str:
    if number.is_integer() and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:.6g}"
