"""The statement that makes one layer of a tile.

The features are found by the tile with its buffer, so that nothing breaks at its edges. They are
written in the order of the key: without it equal tiles would have unequal bytes. PostgreSQL decides
whether the tile is crowded; then some features are gathered, and some are dropped
(`query.tiles.thinning`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from geosvc.model.collection import Collection, Column
from geosvc.model.tile_matrix_set import EXTENT, Tile
from geosvc.model.type_names import WHOLE_NUMBERS
from geosvc.query.conditions import query_conditions
from geosvc.query.features import source_of
from geosvc.query.geometry.boxes import bbox_condition
from geosvc.query.geometry.expressions import GeometryTest, column_value
from geosvc.query.matching import explain_matching
from geosvc.query.property_columns import property_columns, typed_value
from geosvc.query.sort_order import order_by_clause, order_of
from geosvc.query.sql_parts import all_of, comma_list, row_column
from geosvc.query.tiles.thinning import (
    FeaturePlace,
    cell_of,
    cells_across,
    count_in,
    identity_of,
    place_of,
    sample_of,
)
from geosvc.query.tiles.tile_geometry import point_geometry, tile_geometry
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
THINNED_NAME = "items.thinned_tile"
DIGESTS_NAME = "items.tile_digests"

Thinning = Literal["cluster", "drop", "all"]
"""What a crowded tile shows of features that are near each other: a point with their number, the
most important one of them, or all of them up to the limit.
"""


@dataclass(frozen=True, slots=True)
class LayerStyle:
    """What the settings say of the tiles of a collection.

    Attributes:
        single_from_zoom: from which zoom on every feature is shown; None: where they fit.
        importance: the column with the importance of features; None: the larger are more important.
    """

    thinning: Thinning = "cluster"
    single_from_zoom: int | None = None
    importance: str | None = None


DEFAULT_STYLE = LayerStyle()


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One layer of a tile: the features of a collection that a query selects.

    Attributes:
        query: its limit is the most features of the layer.
    """

    collection: Collection
    query: ItemsQuery
    tile: Tile
    style: LayerStyle = DEFAULT_STYLE

    def full(self) -> Statement:
        """Select the layer with every feature.

        Its only row is (the layer as bytes, how many features it has, how many the area has). The
        last number is at most one more than the limit of the query: then the tile is crowded.
        """
        writer = _LayerWriter(self, is_safe=False)
        return compose(NAME, writer.full_layer(writer.conditions()))

    def thinned(self, share: float = 1.0) -> Statement | None:
        """Select the layer with fewer features than there are; the row is that of `full`.

        Args:
            share: of the table that is read. Numbers are scaled up; the same part is read each
                time.
        Returns: None where no features are gathered: then the first ones are shown.
        """
        part = _LayerWriter(self, is_safe=False).thinned_layer(share)
        if part is None:
            return None
        return compose(THINNED_NAME, part)

    def safe(
        self, only: Sequence[str] | None = None, without: Sequence[str] | None = None
    ) -> Statement:
        """Select the layer so that no value fails the statement, without what PostGIS refuses.

        Geometries that are not valid are compared by their boxes. The row is that of `full`.

        Args:
            only: the digests of the geometries that the layer has; None for all.
            without: the digests of those that it has not.
        """
        writer = _LayerWriter(self, is_safe=True)
        conditions = writer.conditions()
        if only is not None:
            conditions.append(_is_one_of(self.collection, only))
        if without:
            conditions.append(SQL("NOT {}").format(_is_one_of(self.collection, without)))
        return compose(NAME, writer.full_layer(conditions))

    def expected(self) -> Statement:
        """Let the planner estimate how many features the area has; the row is that of EXPLAIN."""
        query = replace(self.query, bbox=self.tile.buffered_bbox)
        return explain_matching(self.collection, query)

    def select_digests(self, without: Sequence[str]) -> Statement:
        """Select the digests of the geometries of the layer, as many as it may have.

        Args:
            without: the digests of those that it has not.
        """
        writer = _LayerWriter(self, is_safe=True)
        conditions = writer.conditions()
        if without:
            conditions.append(SQL("NOT {}").format(_is_one_of(self.collection, without)))
        part = SQL("SELECT DISTINCT s.digest FROM ({digests}) s").format(
            digests=writer.digests(conditions)
        )
        return compose(DIGESTS_NAME, part)


def has_tile_ids(collection: Collection) -> bool:
    """Whether the features of a tile have ids, which are whole numbers from 0."""
    return len(collection.key) == 1 and collection.key_columns[0].type_name in WHOLE_NUMBERS


def _digest(collection: Collection) -> Composable:
    """Write a digest of a geometry, which never fails."""
    return SQL("md5(ST_AsEWKB({}))").format(column_value(collection.geometry))


def _is_one_of(collection: Collection, digests: Sequence[str]) -> Composable:
    listed = Param(list(digests), "text[]")
    return SQL("{} = ANY({})").format(_digest(collection), listed)


class _LayerWriter:
    """Writes the parts of the statement of a layer."""

    def __init__(self, plan: LayerPlan, *, is_safe: bool) -> None:
        self._collection = plan.collection
        self._query = replace(plan.query, bbox=None)
        self._tile = plan.tile
        self._style = plan.style
        self._is_safe = is_safe
        self._names = _Names(plan.collection)
        self._keys = order_of(plan.collection, plan.query)
        self._properties = property_columns(plan.collection, plan.query)
        self._source = source_of(plan.collection, plan.query)
        self._place = self._find_place()
        self._most = Param(plan.query.limit, "int8")

    def _find_place(self) -> FeaturePlace | None:
        """Write where a feature is; None where no features are gathered."""
        if self._is_safe or self._style.thinning == "all":
            return None
        first_single = self._style.single_from_zoom
        if first_single is not None and self._tile.matrix.zoom >= first_single:
            return None
        return place_of(self._collection.geometry, self._tile)

    def conditions(self) -> list[Composable]:
        """Write what the features of the layer fulfil.

        Their boxes decide: ST_AsMVTGeom leaves out those of which nothing is in the tile.
        """
        filter_test, box_test = GeometryTest.EXACT, GeometryTest.BOX_ONLY
        if self._is_safe:
            filter_test = box_test = GeometryTest.SAFE
        box = self._tile.buffered_bbox
        geometry = self._collection.geometry
        within = bbox_condition(geometry, box, box_test, matches_null=False)
        others = query_conditions(self._collection, self._query, filter_test)
        return [REQUEST_TAG, PLANNED_BY_VALUES, within, *others]

    def digests(self, conditions: Sequence[Composable]) -> Composable:
        """Write the digests of the geometries that a full layer has, in its order."""
        return SQL(
            "SELECT {digest} AS digest FROM {source} t WHERE {conditions}{order} LIMIT {most} + 1"
        ).format(
            digest=_digest(self._collection),
            source=self._source,
            conditions=all_of(conditions),
            order=order_by_clause(self._keys),
            most=self._most,
        )

    def full_layer(self, conditions: Sequence[Composable]) -> Composable:
        """Write a layer with every feature."""
        features = SQL(
            "SELECT {columns} FROM {source} t WHERE {conditions}{order} LIMIT {most} + 1"
        ).format(
            columns=comma_list(self._columns(self._geometry())),
            source=self._source,
            conditions=all_of(conditions),
            order=order_by_clause(self._keys),
            most=self._most,
        )
        return self._encoded(features, SQL("count(*)"))

    def thinned_layer(self, share: float) -> Composable | None:
        """Write a layer whose small features are gathered in cells; None where none are.

        Args:
            share: of the table that is read.
        """
        identity = identity_of(self._collection)
        place = self._place
        if place is None or identity is None:
            return None
        found = self._found(place, identity, share)
        cells = cells_across(self._query.limit or 1)
        cell = cell_of(self._tile, SQL("f.x"), SQL("f.y"), cells)
        # a feature that is not small is a cell of its own
        gathered = SQL(
            "SELECT (array_agg(f.i ORDER BY f.importance DESC NULLS LAST, f.size DESC, f.i))[1]"
            " AS i, {features} AS features, avg(f.x) AS x, avg(f.y) AS y, f.is_small,"
            " {column} AS cell_column, {row} AS cell_row,"
            " max(f.importance) AS importance, max(f.size) AS size FROM ({found}) f"
            " GROUP BY f.is_small, {column}, {row}, CASE WHEN NOT f.is_small THEN f.i END"
        ).format(found=found, features=count_in(share), column=cell.column, row=cell.row)
        is_shown: Composable = SQL("")
        if cell.is_whole is not None:
            is_shown = SQL(" WHERE NOT c.is_small OR {}").format(cell.is_whole)
        chosen = SQL(
            "SELECT c.* FROM (SELECT c.*, sum(c.features) OVER () AS matched FROM ({gathered}) c) c"
            "{is_shown} ORDER BY c.is_small DESC, c.importance DESC NULLS LAST, c.features DESC,"
            " c.size DESC, c.i LIMIT {most}"
        ).format(gathered=gathered, is_shown=is_shown, most=self._most)
        columns = self._columns(self._thinned_geometry(place), only_if=self._is_single())
        columns += [
            _named(SQL("CASE WHEN c.features > 1 THEN c.features END"), self._names.count),
            SQL("c.matched"),
        ]
        features = SQL(
            "SELECT {columns} FROM ({chosen}) c JOIN {source} t ON {identity} = c.i OFFSET 0"
        ).format(columns=comma_list(columns), chosen=chosen, source=self._source, identity=identity)
        matched = SQL("coalesce(max(s.matched), 0)::int8")
        return self._encoded(features, matched, self._names.count)

    def _found(self, place: FeaturePlace, identity: Composable, share: float) -> Composable:
        """Write the features of the area with their places."""
        importance: Composable = SQL("0")
        if self._style.importance is not None:
            importance = row_column(self._style.importance)
        return SQL(
            "SELECT {identity} AS i, {x} AS x, {y} AS y, {size} AS size, {small} AS is_small,"
            " {importance} AS importance FROM {source} t{sample} WHERE {conditions} OFFSET 0"
        ).format(
            identity=identity,
            x=place.x,
            y=place.y,
            size=place.size,
            small=place.is_small,
            importance=importance,
            source=self._source,
            sample=sample_of(share),
            conditions=all_of(self.conditions()),
        )

    def _is_single(self) -> Composable | None:
        """Write whether a cell shows a feature itself, with its properties; None: every cell."""
        if self._style.thinning == "drop":
            return None
        return SQL("c.features = 1")

    def _thinned_geometry(self, place: FeaturePlace) -> Composable:
        whole = tile_geometry(self._collection.geometry, self._tile)
        if self._style.thinning == "drop":
            return self._point_if_small(whole, place, SQL("c.is_small"))
        middle = point_geometry(SQL("c.x"), SQL("c.y"), self._tile)
        gathered: Composable = SQL("c.features > 1")
        if self._collection.geometry.type != "POINT":
            gathered = SQL("c.is_small")
        return SQL("CASE WHEN {} THEN {} ELSE {} END").format(gathered, middle, whole)

    def _geometry(self) -> Composable:
        """Write the geometry of a feature by itself."""
        whole = tile_geometry(self._collection.geometry, self._tile)
        if self._place is None:
            return whole
        return self._point_if_small(whole, self._place, self._place.is_small)

    def _point_if_small(
        self, whole: Composable, place: FeaturePlace, is_small: Composable
    ) -> Composable:
        """Write a line or a polygon as a point where it would vanish in the grid of the tile."""
        if self._collection.geometry.type == "POINT":
            return whole
        point = point_geometry(place.x, place.y, self._tile)
        return SQL("CASE WHEN {} THEN {} ELSE {} END").format(is_small, point, whole)

    def _encoded(self, features: Composable, matched: Composable, *more: Identifier) -> Composable:
        """Write the layer of some features.

        Args:
            more: names of further columns that become properties.
        """
        names = self._names
        id_argument: Composable = SQL("")
        if has_tile_ids(self._collection):
            id_argument = SQL(", {}").format(Param(names.id.names[0], "text"))
        return SQL(
            "SELECT ST_AsMVT(r, {layer}, {extent}, {geometry}{id}{order})"
            " FILTER (WHERE s.{name} IS NOT NULL), count(s.{name}), {matched}"
            " FROM ({features}) s, LATERAL (SELECT {written}) r"
        ).format(
            layer=Param(self._collection.id, "text"),
            extent=NumberLiteral(EXTENT),
            geometry=Param(names.geometry.names[0], "text"),
            id=id_argument,
            order=names.order(len(self._keys)),
            matched=matched,
            features=features,
            written=comma_list(self._written(*more)),
            name=names.geometry,
        )

    def _columns(self, geometry: Composable, only_if: Composable | None = None) -> list[Composable]:
        """Write the geometry, the id, the sort values and the properties of the row `t`.

        Args:
            only_if: whether the id and the properties have a value; None: always.
        """
        collection = self._collection
        columns: list[Composable] = [_named(geometry, self._names.geometry)]
        if has_tile_ids(collection):
            value = _if(only_if, typed_value(collection.key_columns[0]))
            columns.append(_named(value, self._names.id))
        for number, key in enumerate(self._keys):
            columns.append(_named(key.expression, self._names.key(number)))
        for column in self._properties:
            columns.append(_named(_if(only_if, self._value(column)), Identifier(column.name)))
        return columns

    def _written(self, *more: Identifier) -> list[Composable]:
        """Write the columns of the row that ST_AsMVT gets."""
        names = [self._names.geometry]
        if has_tile_ids(self._collection):
            names.append(self._names.id)
        names += [Identifier(column.name) for column in self._properties]
        return [SQL("s.{}").format(name) for name in (*names, *more)]

    def _value(self, column: Column) -> Composable:
        if self._is_safe:
            return printed_value(column)
        return tile_value(column, self._query.bigint_as_text)


def _named(value: Composable, name: Identifier) -> Composable:
    return SQL("{} AS {}").format(value, name)


def _if(condition: Composable | None, value: Composable) -> Composable:
    """Write a value that is NULL unless a condition holds."""
    if condition is None:
        return value
    return SQL("CASE WHEN {} THEN {} END").format(condition, value)


class _Names:
    """Names of columns that no property has."""

    def __init__(self, collection: Collection) -> None:
        self._prefix = "_"
        while any(name.startswith(self._prefix) for name in collection.by_name):
            self._prefix += "_"
        self.geometry = Identifier(f"{self._prefix}geometry")
        self.id = Identifier(f"{self._prefix}id")
        is_free = "point_count" not in collection.by_name
        self.count = Identifier("point_count" if is_free else f"{self._prefix}point_count")

    def key(self, number: int) -> Identifier:
        """The name of a sort value."""
        return Identifier(f"{self._prefix}key{number}")

    def order(self, count: int) -> Composable:
        """Write the order of the sort values, within the aggregate."""
        if not count:
            return SQL("")
        keys = [SQL("s.{}").format(self.key(number)) for number in range(count)]
        return SQL(" ORDER BY {}").format(comma_list(keys))
