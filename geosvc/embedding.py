"""geosvc as part of another aiohttp application (docs/embedding.md)."""

from geosvc.app import build_admin_app, build_app
from geosvc.errors import ExtensionError
from geosvc.extension import Extension
from geosvc.filter_functions import FilterFunction
from geosvc.formats import CSV_FORMAT, GEOJSON_FORMAT, GEOJSONSEQ_FORMAT
from geosvc.model.collection import Collection, Column, GeometryColumn
from geosvc.model.media_type import MediaType
from geosvc.model.queryables import ValueKind
from geosvc.model.row import Row
from geosvc.query.feature_format import Encoder, FeatureFormat, FeatureProjection, Projection
from geosvc.query.geometry.expressions import column_value
from geosvc.query.geometry.output import written_geometry
from geosvc.query.property_columns import property_columns
from geosvc.requests.items import GeometryStyle, ItemsQuery
from geosvc.routes import Route
from geosvc.server.serve import runner_arguments
from geosvc.settings import Settings, load_settings
from geosvc.sql.compose import SQL, Composable, Identifier, Param

__all__ = [
    "CSV_FORMAT",
    "GEOJSONSEQ_FORMAT",
    "GEOJSON_FORMAT",
    "SQL",
    "Collection",
    "Column",
    "Composable",
    "Encoder",
    "Extension",
    "ExtensionError",
    "FeatureFormat",
    "FeatureProjection",
    "FilterFunction",
    "GeometryColumn",
    "GeometryStyle",
    "Identifier",
    "ItemsQuery",
    "MediaType",
    "Param",
    "Projection",
    "Route",
    "Row",
    "Settings",
    "ValueKind",
    "build_admin_app",
    "build_app",
    "column_value",
    "load_settings",
    "property_columns",
    "runner_arguments",
    "written_geometry",
]
