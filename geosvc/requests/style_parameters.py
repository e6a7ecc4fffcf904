"""The parameters of a style: those of its tiles, and the property that gives the colour."""

from collections.abc import Iterable
from dataclasses import dataclass

from geosvc.model.collection import Collection, Column
from geosvc.model.queryables import ValueKind, queryables
from geosvc.model.type_names import NUMBERS
from geosvc.requests.items import ItemsQuery, ReadingRules
from geosvc.requests.parameter_values import double_quoted, refuse_value
from geosvc.requests.query_string import Values
from geosvc.requests.tile_parameters import parse_tile_query

COLOR = "color"
_TEXTS = (ValueKind.TEXT, ValueKind.BOOLEAN)


@dataclass(frozen=True, slots=True)
class StyleQuery:
    """A parsed request for a style.

    Attributes:
        colour: the property that gives the colour; None: all features have the same.
        tile_values: the parameters of the tiles.
        tile_query: those, parsed.
    """

    colour: Column | None
    tile_values: Values
    tile_query: ItemsQuery


def colour_columns(collection: Collection) -> tuple[Column, ...]:
    """The properties that may give the colour: numbers, texts, enums and truth values."""
    found = []
    for queryable in queryables(collection).values():
        column = queryable.column
        if column is None:
            continue
        is_number = queryable.kind is ValueKind.NUMBER and column.type_name in NUMBERS
        if is_number or queryable.kind in _TEXTS:
            found.append(column)
    return tuple(found)


def parse_style_query(
    values: Values, collection: Collection, rules: ReadingRules, most_features: int
) -> StyleQuery:
    """Parses the parameters of a style.

    Tiles get the property that gives the colour and that which identifies a feature, also if
    `properties` does not name them.

    Args:
        rules: without limits.
        most_features: that a tile may have.
    Raises: InvalidFilter, InvalidParameter, UnknownParameter.
    """
    tile_values = {name: value for name, value in values.items() if name not in (COLOR, "f")}
    tile_query = parse_tile_query(tile_values, collection, rules, most_features)
    colour: Column | None = None
    if COLOR in values:
        colour = _parse_colour(values[COLOR], collection)
    if tile_query.properties is not None:
        names = _needed_properties(tile_query.properties, collection, colour)
        tile_values["properties"] = ",".join(map(double_quoted, names))
    return StyleQuery(colour, tile_values, tile_query)


def _needed_properties(
    chosen: Iterable[str], collection: Collection, colour: Column | None
) -> Iterable[str]:
    """The names of the properties that tiles have, each once."""
    names = [*chosen]
    if len(collection.key) == 1:
        names += collection.key
    if colour is not None:
        names.append(colour.name)
    return dict.fromkeys(names)


def _parse_colour(text: str, collection: Collection) -> Column:
    """Raises: InvalidParameter."""
    by_name = {column.name: column for column in colour_columns(collection)}
    if text not in by_name:
        refuse_value(COLOR, f"a property of {collection.id} with numbers, texts or truth values")
    return by_name[text]
