"""A filter as a condition on the row `t`, in SQL.

NOT is pushed down to the predicates. For a feature without a geometry S_INTERSECTS and its negation
are both unknown (three-valued logic), and the conditions that an index serves are false where a
predicate is unknown. So the negation of a spatial predicate is a condition of its own.
"""

from collections.abc import Callable, Mapping
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
    IntervalLiteral,
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
from geosvc.query.cql2.arrays import relate_arrays
from geosvc.query.cql2.comparisons import between, compare, like, one_of
from geosvc.query.cql2.filter_scope import FilterScope
from geosvc.query.cql2.operands import find_queryable, operand, require_kind
from geosvc.query.cql2.temporal_predicates import relate_times
from geosvc.query.geometry.boxes import bbox_condition
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.geometry.spatial import spatial_condition
from geosvc.query.sql_parts import all_of, any_of, row_column
from geosvc.requests.filters import Filter
from geosvc.sql.compose import SQL, Composable

_SWAPPED: Mapping[SpatialOperator, SpatialOperator] = {"within": "contains", "contains": "within"}
_INTERSECTION_OPERATORS = ("intersects", "disjoint")
"""Only these use the condition of `bbox` for a box, and take collections of different types."""

_TRUE_OF_ITSELF = ("intersects", "equals", "within", "contains")


def _is_null(scope: FilterScope, node: IsNull) -> Composable:
    value = node.value
    if isinstance(value, Property):
        found = find_queryable(scope.collection, value)
        return SQL("({} IS NULL)").format(row_column(found.name))
    if isinstance(value, IntervalLiteral):
        raise InvalidFilter("a single value was expected before IS NULL", value.at)
    if isinstance(value, Scalar):
        written = operand(scope, value)
        return SQL("({} IS NULL)").format(written.sql)
    return SQL("false")


def _boolean(scope: FilterScope, node: Boolean | Function | Property) -> Composable:
    value = operand(scope, node)
    require_kind(value, ValueKind.BOOLEAN)
    return value.sql


_PREDICATES: Mapping[type, Callable[[FilterScope, Any], Composable]] = {
    Comparison: compare,
    Like: like,
    Between: between,
    In: one_of,
    IsNull: _is_null,
    Temporal: relate_times,
    ArrayPredicate: relate_arrays,
}


def filter_condition(
    collection: Collection,
    parsed: Filter,
    geometry_test: GeometryTest = GeometryTest.EXACT,
) -> Composable:
    """Write the condition of a filter.

    Args:
        parsed: the filter.
        geometry_test: how geometries are compared.
    Raises: InvalidFilter where the filter names a property that the collection does not have, or
        compares values that cannot be compared.
    """
    scope = FilterScope(collection, parsed.functions)
    writer = _ConditionWriter(scope, geometry_test)
    return writer.write(parsed.condition, negated=False)


class _ConditionWriter:
    def __init__(self, scope: FilterScope, geometry_test: GeometryTest) -> None:
        self._scope = scope
        self._collection = scope.collection
        self._geometry_test = geometry_test

    def write(self, node: Condition, negated: bool) -> Composable:
        if isinstance(node, Not):
            return self.write(node.arg, not negated)
        if isinstance(node, And | Or):
            return self._write_all(node, negated)
        if isinstance(node, Spatial):
            return self._spatial(node, negated)
        write_predicate = _PREDICATES.get(type(node), _boolean)
        condition = write_predicate(self._scope, node)
        if negated:
            return SQL("(NOT {})").format(condition)
        return condition

    def _write_all(self, node: And | Or, negated: bool) -> Composable:
        """Write conditions joined by AND or OR.

        De Morgan: NOT (a AND b) is NOT a OR NOT b.
        """
        conditions = [self.write(arg, negated) for arg in node.args]
        is_conjunction = isinstance(node, And) is not negated
        if is_conjunction:
            return SQL("({})").format(all_of(conditions))
        return SQL("({})").format(any_of(conditions))

    def _spatial(self, node: Spatial, negated: bool) -> Composable:
        left = self._literal(node.left)
        right = self._literal(node.right)
        if left is not None and right is not None:
            is_true = _compare_literals(node.op, left, right)
            if is_true is not negated:
                return SQL("true")
            return SQL("false")
        if right is not None:
            return self._compare_with(right, node.op, negated)
        if left is not None:
            swapped = _SWAPPED.get(node.op, node.op)
            return self._compare_with(left, swapped, negated)
        return self._self_comparison(node.op, negated)

    def _literal(self, node: Value) -> Geometry | None:
        """Return a literal; None for the geometry of the features. Raises: InvalidFilter."""
        if isinstance(node, Geometry):
            return node
        if isinstance(node, Property):
            found = find_queryable(self._collection, node)
            if found.kind is ValueKind.GEOMETRY:
                return None
        raise InvalidFilter("a geometry was expected", node.at)

    def _geometry_column(self) -> Composable:
        return row_column(self._collection.geometry.name)

    def _self_comparison(self, op: SpatialOperator, negated: bool) -> Composable:
        """Compare the geometry with itself: an empty one does not even intersect itself.

        A comparison that is never true is NULL where the geometry is, as any other.
        """
        if op in _TRUE_OF_ITSELF:
            template = SQL("(NOT ST_IsEmpty({}::geometry))")
        elif op == "disjoint":
            template = SQL("(ST_IsEmpty({}::geometry))")
        else:
            template = SQL("({} IS NULL AND NULL)")  # false, or NULL
        condition = template.format(self._geometry_column())
        if negated:
            return SQL("(NOT {})").format(condition)
        return condition

    def _compare_with(
        self,
        literal: Geometry,
        op: SpatialOperator,
        negated: bool,
    ) -> Composable:
        if negated and op == "intersects":
            return self._compare_with(literal, "disjoint", negated=False)
        if negated and op == "disjoint":
            return self._compare_with(literal, "intersects", negated=False)
        if literal.parts:
            return self._compare_with_collection(literal, op)
        if literal.box is not None and op in _INTERSECTION_OPERATORS:
            return self._compare_with_box(literal.box, op)
        spatial = _spatial_filter(literal, op)
        condition = spatial_condition(self._collection, spatial, self._geometry_test)
        if negated:
            return self._negation(condition)
        return condition

    def _negation(self, condition: Composable) -> Composable:
        return SQL("({geometry} IS NOT NULL AND NOT {condition})").format(
            geometry=self._geometry_column(),
            condition=condition,
        )

    def _compare_with_box(self, box: Bbox, op: SpatialOperator) -> Composable:
        """Compare as the parameter `bbox` does, but never select features without a geometry."""
        geometry = self._collection.geometry
        intersects = bbox_condition(geometry, box, self._geometry_test, matches_null=False)
        if op == "disjoint":
            return self._negation(intersects)
        return intersects

    def _compare_with_collection(self, literal: Geometry, op: SpatialOperator) -> Composable:
        _check_takes_collections(op, literal)
        conditions = [self._compare_with(part, op, negated=False) for part in literal.parts]
        if op == "intersects":
            return SQL("({})").format(any_of(conditions))
        return SQL("({})").format(all_of(conditions))


def _check_takes_collections(op: SpatialOperator, literal: Geometry) -> None:
    """Refuse a collection of different types for most operators. Raises: InvalidFilter."""
    if literal.parts and op not in _INTERSECTION_OPERATORS:
        raise InvalidFilter(f"S_{op.upper()} takes no collection of different types", literal.at)


def _spatial_filter(literal: Geometry, op: SpatialOperator) -> SpatialFilter:
    native = None
    if literal.native is not None:
        native = (Srid(literal.native.srid), literal.native.ewkb)
    return SpatialFilter(
        literal.ewkb,
        literal.bounds,
        Predicate(op),
        native=native,
        across=literal.across,
    )


def _compare_literals(
    op: SpatialOperator,
    left: Geometry,
    right: Geometry,
) -> bool:
    """Compare two literals. Raises: InvalidFilter."""
    _check_takes_collections(op, left)
    _check_takes_collections(op, right)
    predicate = getattr(shapely, op)
    first = shapely.from_wkb(left.ewkb)
    second = shapely.from_wkb(right.ewkb)
    return bool(predicate(first, second))
