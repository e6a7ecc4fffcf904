"""A filter as a condition on the row `t`, in SQL.

NOT is pushed down to the predicates. For a feature without a geometry S_INTERSECTS and its negation
are both unknown (three-valued logic), and the conditions that an index serves are false where a
predicate is unknown. So the negation of a spatial predicate is a condition of its own.
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
from geosvc.query.cql2.operands import expect, find_queryable, operand
from geosvc.query.cql2.temporal_predicates import relate_times
from geosvc.query.geometry.boxes import select_by_bbox
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.geometry.spatial import select_by_geometry
from geosvc.requests.filters import Filter
from geosvc.sql.compose import SQL, Composable, Identifier

_SWAPPED: Mapping[SpatialOperator, SpatialOperator] = {"within": "contains", "contains": "within"}
_TAKE_COLLECTIONS = ("intersects", "disjoint")
_TRUE_OF_ITSELF = ("intersects", "equals", "within", "contains")


def _is_null(scope: FilterScope, node: IsNull) -> Composable:
    value = node.value
    if isinstance(value, Property):
        return SQL("(t.{} IS NULL)").format(
            Identifier(find_queryable(scope.collection, value).name)
        )
    if isinstance(value, IntervalLiteral):
        raise InvalidFilter("a single value was expected before IS NULL", value.at)
    if isinstance(value, Scalar):
        return SQL("({} IS NULL)").format(operand(scope, value).sql)
    return SQL("false")


def _boolean(scope: FilterScope, node: Boolean | Function | Property) -> Composable:
    return expect(operand(scope, node), ValueKind.BOOLEAN).sql


_TESTS: Mapping[type, Callable[[FilterScope, Any], Composable]] = {
    Comparison: compare,
    Like: like,
    Between: between,
    In: one_of,
    IsNull: _is_null,
    Temporal: relate_times,
    ArrayPredicate: relate_arrays,
}


def select_by_filter(
    collection: Collection,
    selected: Filter,
    geometry_test: GeometryTest = GeometryTest.EXACT,
) -> Composable:
    """Write the condition of a filter.

    Args:
        selected: the filter.
        geometry_test: how geometries are compared.
    Raises: InvalidFilter where the filter names a property that the collection does not have, or
        compares values that cannot be compared.
    """
    scope = FilterScope(collection, selected.functions)
    return _ConditionWriter(scope, geometry_test).write(selected.condition, negated=False)


class _ConditionWriter:
    def __init__(self, scope: FilterScope, geometry_test: GeometryTest) -> None:
        self._scope = scope
        self._collection = scope.collection
        self._geometry_test = geometry_test

    def write(self, node: Condition, negated: bool) -> Composable:
        if isinstance(node, Not):
            return self.write(node.arg, not negated)
        if isinstance(node, And | Or):
            # De Morgan: NOT (a AND b) is NOT a OR NOT b
            is_conjunction = isinstance(node, And) is not negated
            glue = SQL(" AND ") if is_conjunction else SQL(" OR ")
            return SQL("({})").format(glue.join([self.write(arg, negated) for arg in node.args]))
        if isinstance(node, Spatial):
            return self._spatial(node, negated)
        write_test = _TESTS.get(type(node), _boolean)
        test = write_test(self._scope, node)
        if negated:
            return SQL("(NOT {})").format(test)
        return test

    def _spatial(self, node: Spatial, negated: bool) -> Composable:
        left, right = self._operand(node.left), self._operand(node.right)
        if left is not None and right is not None:
            is_true = _fold_constant(node.op, left, right) is not negated
            return SQL("true") if is_true else SQL("false")
        if right is not None:
            return self._compare_with(right, node.op, negated)
        if left is not None:
            return self._compare_with(left, _SWAPPED.get(node.op, node.op), negated)
        return self._self_comparison(node.op, negated)

    def _operand(self, node: Value) -> Geometry | None:
        """Return a literal; None for the geometry of the features. Raises: InvalidFilter."""
        if isinstance(node, Geometry):
            return node
        if isinstance(node, Property):
            found = find_queryable(self._collection, node)
            if found.kind is ValueKind.GEOMETRY:
                return None
        raise InvalidFilter("a geometry was expected", node.at)

    def _column_name(self) -> Identifier:
        return Identifier(self._collection.geometry.name)

    def _self_comparison(self, op: SpatialOperator, negated: bool) -> Composable:
        """Compare the geometry with itself: an empty one does not even intersect itself."""
        if op in _TRUE_OF_ITSELF:
            template = SQL("(NOT ST_IsEmpty(t.{}::geometry))")
        elif op == "disjoint":
            template = SQL("(ST_IsEmpty(t.{}::geometry))")
        else:
            template = SQL("(t.{} IS NULL AND NULL)")
        test = template.format(self._column_name())
        if negated:
            return SQL("(NOT {})").format(test)
        return test

    def _compare_with(self, literal: Geometry, op: SpatialOperator, negated: bool) -> Composable:
        if negated and op == "intersects":
            return self._compare_with(literal, "disjoint", negated=False)
        if negated and op == "disjoint":
            return self._compare_with(literal, "intersects", negated=False)
        if literal.parts:
            return self._compare_with_collection(literal, op)
        if literal.box is not None and op in _TAKE_COLLECTIONS:
            return self._compare_with_box(literal.box, op)
        native = None
        if literal.native is not None:
            native = (Srid(literal.native.srid), literal.native.ewkb)
        spatial = SpatialFilter(
            literal.ewkb, literal.bounds, Predicate(op), native=native, across=literal.across
        )
        test = select_by_geometry(self._collection, spatial, self._geometry_test)
        if negated:
            return self._negation(test)
        return test

    def _negation(self, test: Composable) -> Composable:
        template = SQL("(t.{} IS NOT NULL AND NOT {})")
        return template.format(self._column_name(), test)

    def _compare_with_box(self, box: Bbox, op: SpatialOperator) -> Composable:
        """Compare as the parameter `bbox` does, but never select features without a geometry."""
        geometry = replace(self._collection.geometry, not_null=True)
        test = select_by_bbox(geometry, box, self._geometry_test)
        if op == "disjoint":
            return self._negation(test)
        return test

    def _compare_with_collection(self, literal: Geometry, op: SpatialOperator) -> Composable:
        _check_takes_collections(op, literal)
        tests = [self._compare_with(part, op, negated=False) for part in literal.parts]
        glue = SQL(" OR ") if op == "intersects" else SQL(" AND ")
        return SQL("({})").format(glue.join(tests))


def _check_takes_collections(op: SpatialOperator, literal: Geometry) -> None:
    """Refuse a collection of different types for most operators. Raises: InvalidFilter."""
    if literal.parts and op not in _TAKE_COLLECTIONS:
        raise InvalidFilter(f"S_{op.upper()} takes no collection of different types", literal.at)


def _fold_constant(op: SpatialOperator, left: Geometry, right: Geometry) -> bool:
    """Compare two literals. Raises: InvalidFilter."""
    _check_takes_collections(op, left)
    _check_takes_collections(op, right)
    predicate = getattr(shapely, op)
    return bool(predicate(shapely.from_wkb(left.ewkb), shapely.from_wkb(right.ewkb)))
