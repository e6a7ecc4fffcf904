"""The media types that geosvc reads and writes, and their short names."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaType:
    """A format of requests or responses.

    Attributes:
        essence: type/subtype, as in the header Accept.
        short: its name in the parameter `f`.
        content_type: the value of the header Content-Type.
        title: the title of a link to it.
        extension: of the name of a downloaded file.
        posted_as: other media types that a request body in this format may have.
        aliases: other names that `f` and Accept may choose it by.
    """

    essence: str
    short: str
    content_type: str
    title: str
    extension: str
    posted_as: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All media types that a request body in this format may have."""
        return (self.essence, *self.posted_as)


JSON = MediaType("application/json", "json", "application/json", "JSON", "json")
GEOJSON = MediaType(
    "application/geo+json",
    "geojson",
    "application/geo+json",
    "GeoJSON",
    "geojson",
    posted_as=("application/json",),
    aliases=("json", "application/json"),
)
GEOJSONSEQ = MediaType(
    "application/geo+json-seq",
    "geojsonseq",
    "application/geo+json-seq",
    "GeoJSON text sequence",
    "geojsons",
    ("application/x-ndjson", "application/geo+json-lines", "application/jsonl"),
)
MERGE_PATCH = MediaType(
    "application/merge-patch+json",
    "json",
    "application/merge-patch+json",
    "Merge patch",
    "json",
    ("application/json",),
)
CSV = MediaType(
    "text/csv", "csv", "text/csv; charset=utf-8; header=present", "CSV with WKT geometry", "csv"
)
HTML = MediaType("text/html", "html", "text/html; charset=utf-8", "HTML", "html")
PROBLEM = MediaType(
    "application/problem+json", "problem", "application/problem+json", "Problem", "json"
)
OPENAPI = MediaType(
    "application/vnd.oai.openapi+json",
    "json",
    "application/vnd.oai.openapi+json;version=3.0",
    "OpenAPI 3.0",
    "json",
)
SCHEMA = MediaType(
    "application/schema+json", "json", "application/schema+json", "JSON Schema", "json"
)
EVENTS = MediaType("text/event-stream", "sse", "text/event-stream", "Server-sent events", "txt")

MVT = MediaType(
    "application/vnd.mapbox-vector-tile",
    "mvt",
    "application/vnd.mapbox-vector-tile",
    "Mapbox vector tile",
    "mvt",
    aliases=("application/x-protobuf",),
)
TILEJSON = MediaType(
    "application/vnd.mapbox.tile+json",
    "tilejson",
    "application/vnd.mapbox.tile+json",
    "TileJSON",
    "json",
)
MAP_STYLE = MediaType(
    "application/vnd.mapbox.style+json",
    "mbs",
    "application/vnd.mapbox.style+json",
    "MapLibre style",
    "json",
    aliases=("json", "application/json"),
)

DOCUMENT_TYPES = (JSON, HTML)
SCHEMA_TYPES = (SCHEMA, JSON, HTML)
TILESET_TYPES = (JSON, TILEJSON, HTML)
TILE_TYPES = (MVT,)
STYLE_TYPES = (MAP_STYLE,)
FORMULA_BEGINS = "=+@\t\r-"
"""Spreadsheets run a CSV cell as a formula if it begins with one of these characters."""
