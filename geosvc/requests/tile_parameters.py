"""The parameters of a tile: which features are in it, and which of their properties.

Those that select features mean what they mean for items. Source: OGC 20-057 8.
"""

from dataclasses import replace

from geosvc.errors import UnknownParameter
from geosvc.model.collection import Collection
from geosvc.requests.declared import DECLARED, TILE_DECLARED
from geosvc.requests.items import ItemsQuery, ReadingRules, parse_items_query
from geosvc.requests.parameter_values import parse_choice, refuse_unknown
from geosvc.requests.query_string import Values
from geosvc.values.temporal import parse_datetime

_ONLY_OF_ITEMS = frozenset(each.name for each in DECLARED if each not in TILE_DECLARED)


def parse_tile_query(
    values: Values, collection: Collection, rules: ReadingRules, most_features: int
) -> ItemsQuery:
    """Parses the parameters of a tile.

    Args:
        rules: without limits, since a tile has no pages.
        most_features: that a tile may have.
    Returns: the query, whose limit is `most_features`.
    Raises: InvalidFilter, InvalidParameter, UnknownParameter.
    """
    for name in values:
        if name in _ONLY_OF_ITEMS and name not in collection.by_name:
            raise UnknownParameter(f"a tile has no parameter {name}", parameter=name)
    query = parse_items_query(values, collection, rules)
    return replace(query, limit=most_features)


_OF_DATASET = frozenset({"collections", "datetime", "bigint", "f"})


def parse_dataset_tile(values: Values, most_features: int) -> ItemsQuery:
    """Parses the parameters of a tile of several collections, which each of them has.

    Raises: InvalidParameter, UnknownParameter.
    """
    refuse_unknown(values, _OF_DATASET)
    interval = None
    if "datetime" in values:
        interval = parse_datetime(values["datetime"])
    bigint_as_text = parse_choice(values, "bigint", ("number", "string"), "number") == "string"
    return ItemsQuery(limit=most_features, interval=interval, bigint_as_text=bigint_as_text)
