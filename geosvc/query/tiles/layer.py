"""The statement that makes one layer of a tile.

The features are found by the tile with its buffer, so that nothing breaks at its edges. They are
written in the order of the key: without it equal tiles would have unequal bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from geosvc.model.collection import Collection, Column
from geosvc.model.tile_matrix_set import EXTENT, Tile
from geosvc.model.type_names import WHOLE_NUMBERS
from geosvc.query.conditions import query_conditions
from geosvc.query.features import source_of
from geosvc.query.geometry.boxes import bbox_condition
from geosvc.query.geometry.expressions import GeometryTest, column_value
from geosvc.query.property_columns import property_columns, typed_value
from geosvc.query.sort_order import order_by_clause, order_of
from geosvc.query.sql_parts import all_of, comma_list
from geosvc.query.tiles.tile_geometry import tile_geometry
from geosvc.query.tiles.tile_values import printed_value, tile_value
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import (
    PLANNED_BY_VALUES,
    REQUEST_TAG,
    SQL,
    Composable,
    Identifier,
    NumberLiteral,
    Param,
    Statement,
    compose,
)

NAME = "items.tile"
GEOMETRIES_NAME = "items.tile_geometries"


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One layer of a tile: the features of a collection that a query selects.

    Attributes:
        query: its limit is the most features of the layer.
    """

    collection: Collection
    query: ItemsQuery
    tile: Tile

    def statement(
        self, only: Sequence[bytes] | None = None, without: Sequence[bytes] | None = None
    ) -> Statement:
        """Select the layer. Its only row is (the layer as bytes, how many features it has).

        Args:
            only: the geometries, as EWKB, that the layer has; None for all.
            without: the geometries that it has not. With either of the two, no value fails the
                statement, and geometries that are not valid are compared by their boxes.
        """
        is_safe = only is not None or without is not None
        writer = _LayerWriter(self, is_safe=is_safe)
        conditions = writer.conditions()
        if only is not None:
            conditions.append(_is_one_of(self.collection, only))
        if without:
            conditions.append(SQL("NOT {}").format(_is_one_of(self.collection, without)))
        return compose(NAME, writer.layer(conditions))

    def select_geometries(self) -> Statement:
        """Select the different geometries of the layer as EWKB, which never fails."""
        writer = _LayerWriter(self, is_safe=True)
        part = SQL("SELECT DISTINCT {geometry} FROM {source} t WHERE {conditions}").format(
            geometry=_ewkb(self.collection),
            source=source_of(self.collection, self.query),
            conditions=all_of(writer.conditions()),
        )
        return compose(GEOMETRIES_NAME, part)


def _ewkb(collection: Collection) -> Composable:
    return SQL("ST_AsEWKB({})").format(column_value(collection.geometry))


def _is_one_of(collection: Collection, geometries: Sequence[bytes]) -> Composable:
    listed = Param(list(geometries), "bytea[]")
    return SQL("{} = ANY({})").format(_ewkb(collection), listed)


class _LayerWriter:
    """Writes the parts of the statement of a layer."""

    def __init__(self, plan: LayerPlan, *, is_safe: bool) -> None:
        self._collection = plan.collection
        self._query = plan.query
        self._tile = plan.tile
        self._is_safe = is_safe
        self._test = GeometryTest.SAFE if is_safe else GeometryTest.EXACT
        self._names = _Names(plan.collection)
        self._keys = order_of(plan.collection, plan.query)
        self._properties = property_columns(plan.collection, plan.query)

    def conditions(self) -> list[Composable]:
        """Write what the features of the layer fulfil."""
        box = self._tile.buffered_bbox
        geometry = self._collection.geometry
        within = bbox_condition(geometry, box, self._test, matches_null=False)
        query = replace(self._query, bbox=None)
        others = query_conditions(self._collection, query, self._test)
        return [REQUEST_TAG, PLANNED_BY_VALUES, within, *others]

    def layer(self, conditions: Sequence[Composable]) -> Composable:
        """Write the whole statement."""
        names = self._names
        features = SQL(
            "SELECT {columns} FROM {source} t WHERE {conditions}{order} LIMIT {most}"
        ).format(
            columns=comma_list(self._columns()),
            source=source_of(self._collection, self._query),
            conditions=all_of(conditions),
            order=order_by_clause(self._keys),
            most=Param(self._query.limit, "int8"),
        )
        id_argument: Composable = SQL("")
        if has_tile_ids(self._collection):
            id_argument = SQL(", {}").format(Param(names.id.names[0], "text"))
        return SQL(
            "SELECT ST_AsMVT(r, {layer}, {extent}, {geometry}{id}{order}), count(*)"
            " FROM ({features}) s, LATERAL (SELECT {written}) r WHERE s.{name} IS NOT NULL"
        ).format(
            layer=Param(self._collection.id, "text"),
            extent=NumberLiteral(EXTENT),
            geometry=Param(names.geometry.names[0], "text"),
            id=id_argument,
            order=names.order(len(self._keys)),
            features=features,
            written=comma_list(self._written()),
            name=names.geometry,
        )

    def _columns(self) -> list[Composable]:
        """Write the geometry, the id, the sort values and the properties of the row `t`."""
        collection = self._collection
        geometry = tile_geometry(collection.geometry, self._tile)
        columns: list[Composable] = [_named(geometry, self._names.geometry)]
        if has_tile_ids(collection):
            columns.append(_named(typed_value(collection.key_columns[0]), self._names.id))
        for number, key in enumerate(self._keys):
            columns.append(_named(key.expression, self._names.key(number)))
        for column in self._properties:
            columns.append(_named(self._value(column), Identifier(column.name)))
        return columns

    def _written(self) -> list[Composable]:
        """Write the columns of the row that ST_AsMVT gets."""
        names = [self._names.geometry]
        if has_tile_ids(self._collection):
            names.append(self._names.id)
        names += [Identifier(column.name) for column in self._properties]
        return [SQL("s.{}").format(name) for name in names]

    def _value(self, column: Column) -> Composable:
        if self._is_safe:
            return printed_value(column)
        return tile_value(column, self._query.bigint_as_text)


def _named(value: Composable, name: Identifier) -> Composable:
    return SQL("{} AS {}").format(value, name)


def has_tile_ids(collection: Collection) -> bool:
    """Whether the features of a tile have ids, which are whole numbers from 0."""
    return len(collection.key) == 1 and collection.key_columns[0].type_name in WHOLE_NUMBERS


class _Names:
    """Names of columns that no property has."""

    def __init__(self, collection: Collection) -> None:
        self._prefix = "_"
        while any(name.startswith(self._prefix) for name in collection.by_name):
            self._prefix += "_"
        self.geometry = Identifier(f"{self._prefix}geometry")
        self.id = Identifier(f"{self._prefix}id")

    def key(self, number: int) -> Identifier:
        """The name of a sort value."""
        return Identifier(f"{self._prefix}key{number}")

    def order(self, count: int) -> Composable:
        """Write the order of the sort values, within the aggregate."""
        if not count:
            return SQL("")
        keys = [SQL("s.{}").format(self.key(number)) for number in range(count)]
        return SQL(" ORDER BY {}").format(comma_list(keys))
