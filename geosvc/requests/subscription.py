"""The parameters of a stream of changes: which features, and which parts of them."""

from geosvc.errors import UnknownParameter
from geosvc.model.collection import Collection
from geosvc.requests.declared import CHANGES_DECLARED, DECLARED, LAST_EVENT_ID
from geosvc.requests.items import ItemsQuery, ReadingRules, parse_items_query
from geosvc.requests.query_string import Values

_OF_ITEMS = frozenset(parameter.name for parameter in DECLARED)
_OF_CHANGES = frozenset(parameter.name for parameter in CHANGES_DECLARED)
_OF_PAGES = _OF_ITEMS - _OF_CHANGES
"""The parameters of items that a stream of changes does not have."""


def select_changes(values: Values) -> dict[str, str]:
    """The parameters of a page of features that its stream of changes has too."""
    selected = {}
    for name, value in values.items():
        if name not in _OF_PAGES:
            selected[name] = value
    return selected


def parse_subscription(values: Values, collection: Collection, rules: ReadingRules) -> ItemsQuery:
    """Parses which changes a subscriber receives. Raises: InvalidParameter, UnknownParameter."""
    of_pages = _OF_PAGES & values.keys()
    if of_pages:
        name = min(of_pages)
        raise UnknownParameter(f"a stream of changes has no parameter {name!r}", parameter=name)
    selecting = dict(values)
    selecting.pop(LAST_EVENT_ID.name, None)
    return parse_items_query(selecting, collection, rules)
