"""What the names in a filter refer to."""

from dataclasses import dataclass

from geosvc.filter_functions import FilterFunctions
from geosvc.model.collection import Collection


@dataclass(frozen=True, slots=True)
class FilterScope:
    """What the names in a filter refer to.

    Attributes:
        collection: has the properties.
        functions: that the filter may call.
    """

    collection: Collection
    functions: FilterFunctions
