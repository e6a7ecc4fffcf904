"""A feature as GeoJSON, written by PostgreSQL."""

from geosvc.model.collection import Collection, Column, GeometryColumn
from geosvc.query.feature_format import FeatureProjection, Projection
from geosvc.query.geometry.expressions import bind_once, column_value
from geosvc.query.geometry.output import written_geometry
from geosvc.query.id_member import id_member
from geosvc.query.property_columns import property_columns, property_value
from geosvc.query.sql_parts import comma_list
from geosvc.query.value_texts import checked_json, is_doubtful
from geosvc.requests.items import GeometryStyle, ItemsQuery
from geosvc.sql.compose import SQL, Composable, Composed, Identifier, Param

# ST_AsGeoJSON never writes a member of these types as nothing.
_WITHOUT_EMPTY_MEMBERS = frozenset({"POINT", "LINESTRING", "POLYGON", "MULTIPOLYGON"})


class GeoJsonProjection:
    """Writes GeoJSON features."""

    distance_is_property = False

    def write_feature(
        self,
        collection: Collection,
        query: ItemsQuery,
        metres: Composable | None,
        raising: bool,
    ) -> FeatureProjection:
        """Write the feature `t`; the distance is a member of the feature."""
        distance: Composable = SQL("''")
        if metres is not None:
            distance = SQL("'\"distance\":' || coalesce({}, 'null') || ','").format(metres)
        head = SQL('\'{{"type":"Feature",\' || {} || {} || \'"geometry":\'').format(
            id_member(collection, query.bigint_as_text), distance
        )
        value = column_value(collection.geometry)
        geometry = self.write_geometry(collection.geometry, query.geometry, value, raising)
        tail = SQL("',\"properties\":' || {} || '}}'").format(_properties(collection, query))
        return FeatureProjection(head, geometry, tail)

    def write_geometry(
        self,
        geometry: GeometryColumn,
        style: GeometryStyle,
        value: Composable,
        raising: bool,
    ) -> Composable:
        """Write a geometry as a JSON value; RFC 7946 decides which geometries are allowed."""
        if style.skip:
            return SQL("'null'")
        written = written_geometry(geometry, style, value)
        if geometry.type not in ("POINT", "MULTIPOINT"):
            written = _allowed_by_geojson(written, raising)
        text = SQL("ST_AsGeoJSON({}, {}, 0)").format(written, Param(style.digits, "int4"))
        if geometry.type not in _WITHOUT_EMPTY_MEMBERS or geometry.has_z:
            text = _checked_geojson(text)
        return SQL("coalesce({}, 'null')").format(text)

    def write_property(self, column: Column, query: ItemsQuery) -> Composable:
        """Write the value of a column as a JSON value; NULL stays NULL."""
        return SQL("to_json({})::text").format(property_value(column, query.bigint_as_text))


GEOJSON_PROJECTION: Projection = GeoJsonProjection()


def _properties(collection: Collection, query: ItemsQuery) -> Composable:
    columns = property_columns(collection, query)
    if not columns:
        return SQL("'{{}}'").format()
    values = []
    for column in columns:
        value = _json_value(column, query.bigint_as_text)
        values.append(SQL("{} AS {}").format(value, Identifier(column.name)))
    return SQL("(SELECT row_to_json({row})::text FROM (SELECT {values}) {row})").format(
        row=_row_name(collection), values=comma_list(values)
    )


def _row_name(collection: Collection) -> Identifier:
    """Return a name that no column has: in row_to_json(x) a column x would win over the row x."""
    number = 0
    while f"p{number}" in collection.by_name:
        number += 1
    return Identifier(f"p{number}")


def _json_value(column: Column, bigint_as_text: bool) -> Composable:
    """Write a value that is valid JSON; else it raises, and the page is read value by value."""
    value = property_value(column, bigint_as_text)
    if is_doubtful(column):
        return checked_json(value)
    return value


def _allowed_by_geojson(value: Composable, raising: bool) -> Composable:
    """Check that lines have two positions or more, and that rings are closed and have four or more.

    Source: RFC 7946 3.1.4 and 3.1.6. PostGIS checks it when it reads a geometry from bytes, which
    takes a microsecond for a polygon.
    """
    if raising:
        return SQL("({})::bytea::geometry").format(value)
    return bind_once(
        value,
        SQL(
            "CASE WHEN NOT EXISTS (SELECT FROM ST_Dump({g}) d WHERE CASE"
            " WHEN GeometryType(d.geom) LIKE 'LINE%' THEN ST_NPoints(d.geom) = 1"
            " WHEN GeometryType(d.geom) LIKE 'POLYGON%' AND NOT ST_IsEmpty(d.geom)"
            " THEN NOT ST_IsClosed(d.geom)"
            " OR EXISTS (SELECT FROM ST_DumpRings(d.geom) r WHERE ST_NPoints(r.geom) < 4)"
            " ELSE false END) THEN {g} END"
        ),
    )


def _checked_geojson(text: Composable) -> Composed:
    """Raise where ST_AsGeoJSON writes what is not GeoJSON: NaN, Infinity, `[,` or empty members.

    The error is one of PostGIS, after which the page is read again and each geometry is checked
    (database/reads/features.py).
    """
    return SQL(
        "(SELECT CASE WHEN strpos(j, 'N') + strpos(j, 'I') + strpos(j, '[,')"
        " + strpos(j, '[[]') + strpos(j, ',[]') = 0 THEN j"
        " ELSE ST_GeomFromText(j)::text END FROM (SELECT {} AS j OFFSET 0) checked)"
    ).format(text)
