"""The parameters of a stream of changes: which features, what of them, and where to go on."""

from collections.abc import Mapping

from geosvc.errors import UnknownParameter
from geosvc.model.collection import Collection
from geosvc.requests.declared import CHANGES_DECLARED, DECLARED, LAST_EVENT_ID
from geosvc.requests.items import ItemsRequest, ReadingRules, parse_items_request

_OF_PAGES = frozenset(each.name for each in DECLARED) - {each.name for each in CHANGES_DECLARED}


def select_changes(values: Mapping[str, str]) -> dict[str, str]:
    """Of the parameters of a page of features those that its changes are selected by too."""
    return {name: value for name, value in values.items() if name not in _OF_PAGES}


def parse_changes_request(values: Mapping[str, str], collection: Collection, rules: ReadingRules) -> ItemsRequest:
    """Which changes a subscriber is told of. Raises: InvalidParameter, UnknownParameter."""
    if wrong := _OF_PAGES & values.keys():
        raise UnknownParameter(f"a stream of changes has no parameter {min(wrong)!r}", parameter=min(wrong))
    selecting = {name: value for name, value in values.items() if name != LAST_EVENT_ID.name}
    return parse_items_request(selecting, collection, rules)
