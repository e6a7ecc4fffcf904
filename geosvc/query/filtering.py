"""A filter as a condition on the row `t`.

NOT is carried down to what it denies, since what is known of a missing geometry differs: neither S_INTERSECTS nor its negation
holds there (three-valued logic), and the conditions that an index serves cannot tell "no" from "unknown".
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import shapely

from geosvc.cql2.tree import (
    And,
    ArrayPredicate,
    Between,
    Boolean,
    Comparison,
    Condition,
    Function,
    Geometry,
    In,
    Interval,
    IsNull,
    Like,
    Not,
    Or,
    Property,
    Scalar,
    Spatial,
    SpatialOperator,
    Temporal,
    Value,
)
from geosvc.errors import InvalidFilter
from geosvc.model.bbox import Bbox
from geosvc.model.collection import Collection
from geosvc.model.crs import Srid
from geosvc.model.queryables import ValueKind
from geosvc.model.spatial import Predicate, SpatialFilter
from geosvc.query.arrays import relate_arrays
from geosvc.query.boxes import select_by_bbox
from geosvc.query.comparisons import among, between, compare, like
from geosvc.query.geometry import Care
from geosvc.query.instants import relate_times
from geosvc.query.operands import expect, find, operand
from geosvc.query.spatial import select_by_geometry
from geosvc.sql.compose import SQL, Composable, Identifier

_OTHER_WAY: Mapping[SpatialOperator, SpatialOperator] = {"within": "contains", "contains": "within"}
_OF_COLLECTIONS = ("intersects", "disjoint")
_OF_ITSELF = ("intersects", "equals", "within", "contains")


def _is_null(collection: Collection, node: IsNull) -> Composable:
    value = node.value
    if isinstance(value, Property):
        return SQL("(t.{} IS NULL)").format(Identifier(find(collection, value).name))
    if isinstance(value, Interval):
        raise InvalidFilter("a single value was expected before IS NULL", value.at)
    if isinstance(value, Scalar):
        return SQL("({} IS NULL)").format(operand(collection, value).sql)
    return SQL("false")


def _truth(collection: Collection, node: Boolean | Function | Property) -> Composable:
    return expect(operand(collection, node), ValueKind.BOOLEAN).sql


_TESTS: Mapping[type, Callable[[Collection, Any], Composable]] = {
    Comparison: compare,
    Like: like,
    Between: between,
    In: among,
    IsNull: _is_null,
    Temporal: relate_times,
    ArrayPredicate: relate_arrays,
}


def select_by_filter(collection: Collection, condition: Condition, care: Care = Care.EXACTLY) -> Composable:
    """The condition in SQL.

    Args:
        care: how geometries are compared.
    Raises: InvalidFilter, where it names what the collection lacks or compares what cannot be compared.
    """
    return _Writer(collection, care).write(condition, denied=False)


class _Writer:
    def __init__(self, collection: Collection, care: Care) -> None:
        self._collection = collection
        self._care = care

    def write(self, node: Condition, denied: bool) -> Composable:
        if isinstance(node, Not):
            return self.write(node.arg, not denied)
        if isinstance(node, And | Or):
            glue = SQL(" AND ") if isinstance(node, And) is not denied else SQL(" OR ")
            return SQL("({})").format(glue.join([self.write(arg, denied) for arg in node.args]))
        if isinstance(node, Spatial):
            return self._spatial(node, denied)
        test = _TESTS.get(type(node), _truth)(self._collection, node)
        return SQL("(NOT {})").format(test) if denied else test

    def _spatial(self, node: Spatial, denied: bool) -> Composable:
        left, right = self._side(node.left), self._side(node.right)
        if left is not None and right is not None:
            return _constant(_hold(node.op, left, right) is not denied)
        literal = left or right
        if literal is None:
            return self._of_itself(node.op, denied)
        op = _OTHER_WAY.get(node.op, node.op) if left is not None else node.op
        return self._beside(literal, op, denied)

    def _side(self, node: Value) -> Geometry | None:
        """A literal; None for the geometry of the features. Raises: InvalidFilter."""
        if isinstance(node, Geometry):
            return node
        if not isinstance(node, Property) or find(self._collection, node).kind is not ValueKind.GEOMETRY:
            raise InvalidFilter("a geometry was expected", node.at)
        return None

    def _of_itself(self, op: SpatialOperator, denied: bool) -> Composable:
        """The geometry of the features beside itself: an empty one meets nothing, not even itself."""
        holds = SQL("(NOT ST_IsEmpty(t.{}::geometry))") if op in _OF_ITSELF else SQL("(ST_IsEmpty(t.{}::geometry))")
        if op not in (*_OF_ITSELF, "disjoint"):
            holds = SQL("(t.{} IS NULL AND NULL)")
        test = holds.format(Identifier(self._collection.geometry.name))
        return SQL("(NOT {})").format(test) if denied else test

    def _beside(self, literal: Geometry, op: SpatialOperator, denied: bool) -> Composable:
        if denied and op in _OF_COLLECTIONS:
            op, denied = ("disjoint" if op == "intersects" else "intersects"), False
        if literal.parts:
            return self._beside_collection(literal, op)
        if literal.box is not None and op in _OF_COLLECTIONS:
            return self._beside_box(literal.box, op)
        native = (Srid(literal.native.srid), literal.native.ewkb) if literal.native is not None else None
        spatial = SpatialFilter(literal.ewkb, literal.bounds, Predicate(op), native=native, across=literal.across)
        test = select_by_geometry(self._collection, spatial, self._care)
        if not denied:
            return test
        return SQL("(t.{} IS NOT NULL AND NOT {})").format(Identifier(self._collection.geometry.name), test)

    def _beside_box(self, box: Bbox, op: SpatialOperator) -> Composable:
        """As the parameter `bbox`, which need not ask GEOS; but for features without a geometry."""
        test = select_by_bbox(replace(self._collection.geometry, not_null=True), box, self._care)
        if op == "intersects":
            return test
        return SQL("(t.{} IS NOT NULL AND NOT {})").format(Identifier(self._collection.geometry.name), test)

    def _beside_collection(self, literal: Geometry, op: SpatialOperator) -> Composable:
        if op not in _OF_COLLECTIONS:
            raise InvalidFilter(f"S_{op.upper()} takes no collection of different types", literal.at)
        glue = SQL(" OR ") if op == "intersects" else SQL(" AND ")
        return SQL("({})").format(glue.join([self._beside(part, op, denied=False) for part in literal.parts]))


def _constant(holds: bool) -> Composable:
    return SQL("true") if holds else SQL("false")


def _hold(op: SpatialOperator, left: Geometry, right: Geometry) -> bool:
    a, b = (shapely.from_wkb(each.ewkb) for each in (left, right))
    if (left.parts or right.parts) and op not in _OF_COLLECTIONS:
        raise InvalidFilter(f"S_{op.upper()} takes no collection of different types", (left if left.parts else right).at)
    return bool(getattr(shapely, op)(a, b))
