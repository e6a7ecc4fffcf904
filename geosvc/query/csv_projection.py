"""A feature as a line of CSV, written by PostgreSQL."""

from geosvc.model.collection import Collection, Column, GeometryColumn
from geosvc.query.csv_cells import csv_cell, property_cell
from geosvc.query.feature_format import FeatureProjection, Projection
from geosvc.query.geometry.expressions import column_value
from geosvc.query.geometry.output import written_geometry
from geosvc.query.property_columns import property_columns
from geosvc.requests.items import GeometryStyle, ItemsQuery
from geosvc.sql.compose import SQL, Composable, Param


class CsvProjection:
    """Writes lines of CSV; the geometry is called WKT, as GDAL expects."""

    distance_is_property = True

    def write_feature(
        self,
        collection: Collection,
        query: ItemsQuery,
        metres: Composable | None,
        raising: bool,
    ) -> FeatureProjection:
        """Write the feature `t`; the distance is the last cell."""
        names = []
        cells = []
        for column in property_columns(collection, query):
            names.append(column.name)
            cells.append(property_cell(column, query))
        if metres is not None:
            names.append("distance")
            cells.append(SQL("coalesce({}, '')").format(metres))
        nothing = SQL("''")
        line: Composable = nothing
        if cells:
            line = SQL(" || ',' || ").join(cells)
        if query.geometry.skip:
            return FeatureProjection(nothing, nothing, line, tuple(names))
        value = column_value(collection.geometry)
        geometry = self.write_geometry(collection.geometry, query.geometry, value, raising)
        if cells:
            line = SQL("',' || {}").format(line)
        return FeatureProjection(nothing, geometry, line, ("WKT", *names))

    def write_geometry(
        self,
        geometry: GeometryColumn,
        style: GeometryStyle,
        value: Composable,
        raising: bool,
    ) -> Composable:
        """Write a geometry as a cell with WKT, which has a text for every geometry."""
        if style.skip:
            return SQL("''")
        written = written_geometry(geometry, style, value)
        digits = Param(style.digits, "int4")
        text = SQL("ST_AsText({}, {})").format(written, digits)
        return csv_cell(text, quoted=True)

    def write_property(self, column: Column, query: ItemsQuery) -> Composable:
        """Write the value of a column as a cell."""
        return property_cell(column, query)


CSV_PROJECTION: Projection = CsvProjection()
