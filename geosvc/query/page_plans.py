"""The plans of pages that were made before.

The plan of a page is the part of its statement that no value of a request changes. It depends on
the collection, the format and the style of the query.
"""

from collections import OrderedDict

from geosvc.model.collection import Collection
from geosvc.query.feature_format import FeatureFormat
from geosvc.query.features import FeaturePlan, plan_items
from geosvc.requests.items import ItemsQuery

MAX_PLANS = 512

_PlanKey = tuple[int, int, tuple[object, ...]]
"""(id() of the collection, id() of the format, what tells the styles of queries apart).

A plan holds its collection and its format, so no other object gets their id() meanwhile. After a
change of the catalog a collection is another object.
"""


class PagePlans:
    """The plans that were used last."""

    def __init__(self) -> None:
        self._plans: OrderedDict[_PlanKey, FeaturePlan] = OrderedDict()

    def find(
        self, collection: Collection, query: ItemsQuery, feature_format: FeatureFormat
    ) -> FeaturePlan:
        """The plan for a query; it is made if there is none.

        That for a spatial relation, or for the arguments of a function, has their values, and is
        not kept.
        """
        if query.spatial is not None or collection.parameters is not None:
            return plan_items(collection, query, feature_format)
        key = (id(collection), id(feature_format), query.style_key())
        plan = self._plans.get(key)
        if plan is not None:
            self._plans.move_to_end(key)
            return plan
        plan = plan_items(collection, query.style(), feature_format)
        self._plans[key] = plan
        if len(self._plans) > MAX_PLANS:
            self._plans.popitem(last=False)
        return plan
