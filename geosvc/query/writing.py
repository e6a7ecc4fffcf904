"""How PostgreSQL writes a feature as text: what stands before the geometry, the geometry, and what stands behind it."""

from dataclasses import dataclass
from itertools import count

from geosvc.model.collection import Collection, Column, GeometryColumn
from geosvc.model.media_type import CSV, GEOJSON, MediaType
from geosvc.model.spatial import SpatialFilter
from geosvc.query.geometry import NULL_FREE_TYPES, Care, column_value, written_geometry
from geosvc.query.spatial import distance_of, is_nearest
from geosvc.requests.items import GeometryStyle, ItemsRequest
from geosvc.sql.compose import SQL, Composable, Composed, Identifier, Param

_JAVASCRIPT_UNSAFE = frozenset({"int8", "numeric"})
_WHOLE_NUMBERS = frozenset({"int2", "int4", "int8"})
_NEVER_QUOTED = _WHOLE_NUMBERS | {"numeric", "float4", "float8", "bool"}


@dataclass(frozen=True, slots=True)
class Written:
    """A feature in three SQL texts, none of them NULL; the feature is all three in a row.

    Attributes:
        header: the names of a line's cells, for CSV.
    """

    head: Composable
    geometry: Composable
    tail: Composable
    header: tuple[str, ...] = ()

    @property
    def feature(self) -> Composed:
        """The feature as one bytea in UTF-8: as text, Python would decode it only to encode it again."""
        return SQL("convert_to({} || {} || {}, 'UTF8')").format(self.head, self.geometry, self.tail)


def write_feature(collection: Collection, request: ItemsRequest, media_type: MediaType, care: Care = Care.EXACTLY) -> Written:
    """How a feature is written in a media type of items.

    Args:
        care: how its distance is measured, where there is one.
    """
    metres = _metres(collection, request.spatial, care)
    return _csv(collection, request, metres) if media_type is CSV else _json(collection, request, metres)


def write_geometry(geometry: GeometryColumn, style: GeometryStyle, media_type: MediaType, value: Composable) -> Composable:
    """The geometry `value` of a column as a JSON value or a CSV cell; never NULL."""
    if style.skip:
        return SQL("''") if media_type is CSV else SQL("'null'")
    written = written_geometry(geometry, style, value)
    precision = Param(style.digits, "int4")
    if media_type is CSV:
        return _csv_cell(SQL("ST_AsText({}, {})").format(written, precision), quoted=True)
    text = SQL("ST_AsGeoJSON({}, {}, 0)").format(written, precision)
    if geometry.type not in NULL_FREE_TYPES or geometry.has_z:
        text = _checked_json(text)
    return SQL("coalesce({}, 'null')").format(text)


def _checked_json(text: Composable) -> Composed:
    """ST_AsGeoJSON writes NaN, Infinity and `[,` for some geometries. That is no JSON: the feature is read anew, by the
    way that looks at each (database/features.py), which an error of PostGIS's own leads to.
    """
    return SQL(
        "(SELECT CASE WHEN strpos(j, 'N') + strpos(j, 'I') + strpos(j, '[,') = 0 THEN j"
        " ELSE ST_GeomFromText(j)::text END FROM (SELECT {} AS j OFFSET 0) checked)"
    ).format(text)


def wanted_columns(collection: Collection, request: ItemsRequest) -> tuple[Column, ...]:
    """The columns that become properties."""
    if request.properties is None:
        return collection.columns
    return tuple(collection.by_name[name] for name in request.properties)


def feature_id(collection: Collection) -> Composable:
    """The id of a feature as text; the values of a composite key with commas between them, and a backslash before each
    comma and backslash of their own (`requests.feature_id` reads it).
    """
    parts = [SQL("t.{}::text").format(Identifier(column.name)) for column in collection.key_columns]
    if len(parts) == 1:
        return parts[0]
    return SQL(" || ',' || ").join(
        SQL("regexp_replace({} COLLATE \"C\", '([\\\\,])', '\\\\\\1', 'g')").format(part) for part in parts
    )


def _id_member(collection: Collection, bigint_as_text: bool) -> Composable:
    """`"id":…,` as SQL text: whole numbers as numbers, everything else as strings; nothing without a key."""
    if not collection.key:
        return SQL("''")
    kind = collection.key_columns[0].type_name if len(collection.key) == 1 else ""
    if kind in _WHOLE_NUMBERS and not (bigint_as_text and kind in _JAVASCRIPT_UNSAFE):
        return SQL("coalesce('\"id\":' || {} || ',', '')").format(feature_id(collection))
    return SQL("coalesce('\"id\":' || to_json({})::text || ',', '')").format(feature_id(collection))


def _metres(collection: Collection, spatial: SpatialFilter | None, care: Care) -> Composable | None:
    """The distance to the posted geometry as text, to the millimetre; None where none is asked for."""
    if spatial is None or not spatial.measures:
        return None
    metres = SQL("d.metres") if is_nearest(spatial) else distance_of(collection, spatial, care)
    return SQL("trim_scale(round(({})::numeric, 3))::text").format(metres)


def _json(collection: Collection, request: ItemsRequest, metres: Composable | None) -> Written:
    value = column_value(collection.geometry)
    distance = SQL("''") if metres is None else SQL("'\"distance\":' || coalesce({}, 'null') || ','").format(metres)
    head = SQL('\'{{"type":"Feature",\' || {} || {} || \'"geometry":\'').format(
        _id_member(collection, request.bigint_as_text), distance
    )
    return Written(
        head,
        write_geometry(collection.geometry, request.geometry, GEOJSON, value),
        SQL("',\"properties\":' || {} || '}}'").format(_properties(collection, request)),
    )


def _property_value(column: Column, bigint_as_text: bool) -> Composable:
    value = SQL("t.{}").format(Identifier(column.name))
    if column.type_name == "bytea" and column.type_schema == "pg_catalog":
        # encode() breaks base64 into lines
        return SQL("translate(encode({}, 'base64'), E'\\n', '')").format(value)
    if bigint_as_text and column.type_name in _JAVASCRIPT_UNSAFE:
        return SQL("{}::text").format(value)
    return value


def _properties(collection: Collection, request: ItemsRequest) -> Composable:
    columns = wanted_columns(collection, request)
    if not columns:
        return SQL("'{{}}'").format()
    values = SQL(", ").join(
        SQL("{} AS {}").format(_property_value(column, request.bigint_as_text), Identifier(column.name)) for column in columns
    )
    # in row_to_json(x) a column called x would win over the row x
    row = Identifier(next(name for name in map("p{}".format, count()) if name not in collection.by_name))
    return SQL("(SELECT row_to_json({row})::text FROM (SELECT {values}) {row})").format(row=row, values=values)


def _csv(collection: Collection, request: ItemsRequest, metres: Composable | None) -> Written:
    """WKT is the name by which GDAL knows a geometry."""
    columns = wanted_columns(collection, request)
    header = tuple(column.name for column in columns)
    values = [_csv_cell(_csv_value(column), column.type_name not in _NEVER_QUOTED) for column in columns]
    if metres is not None:
        header, values = (*header, "distance"), [*values, SQL("coalesce({}, '')").format(metres)]
    cells = SQL(" || ',' || ").join(values)
    if request.geometry.skip:
        return Written(SQL("''"), SQL("''"), cells if values else SQL("''"), header)
    geometry = write_geometry(collection.geometry, request.geometry, CSV, column_value(collection.geometry))
    tail = SQL("',' || {}").format(cells) if values else SQL("''")
    return Written(SQL("''"), geometry, tail, ("WKT", *header))


def _csv_value(column: Column) -> Composable:
    """Timestamps as JSON writes them, bytes as base64, everything else as PostgreSQL's text."""
    value = SQL("t.{}").format(Identifier(column.name))
    if column.temporal:
        return SQL("to_json({}) #>> '{{}}'").format(value)
    return SQL("({})::text").format(_property_value(column, bigint_as_text=False))


def _csv_cell(value: Composable, quoted: bool) -> Composable:
    """What may hold a comma, a quote or a line break is quoted; NULL is an empty cell."""
    if quoted:
        return SQL("coalesce('\"' || replace({} COLLATE \"C\", '\"', '\"\"') || '\"', '')").format(value)
    return SQL("coalesce({}, '')").format(value)
