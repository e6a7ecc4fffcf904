"""The parameters of a stream of changes: which features, and which parts of them."""

from collections.abc import Mapping

from geosvc.errors import UnknownParameter
from geosvc.model.collection import Collection
from geosvc.requests.declared import CHANGES_DECLARED, DECLARED, LAST_EVENT_ID
from geosvc.requests.items import ItemsQuery, ReadingRules, parse_items_query

_OF_PAGES = frozenset(parameter.name for parameter in DECLARED) - {
    parameter.name for parameter in CHANGES_DECLARED
}


def select_changes(values: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a page of features that its stream of changes has too."""
    return {name: value for name, value in values.items() if name not in _OF_PAGES}


def parse_subscription(
    values: Mapping[str, str], collection: Collection, rules: ReadingRules
) -> ItemsQuery:
    """Parses which changes a subscriber receives. Raises: InvalidParameter, UnknownParameter."""
    of_pages = _OF_PAGES & values.keys()
    if of_pages:
        name = min(of_pages)
        raise UnknownParameter(f"a stream of changes has no parameter {name!r}", parameter=name)
    selecting = {name: value for name, value in values.items() if name != LAST_EVENT_ID.name}
    return parse_items_query(selecting, collection, rules)
