"""Commands and code with which clients read a collection, to copy from its page."""

import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from geosvc.model.collection import Collection

_LAYERS = {"POINT": "circle", "MULTIPOINT": "circle", "POLYGON": "fill", "MULTIPOLYGON": "fill"}
_MAP_FEATURES = 1_000
_PAINT = {"circle": "'circle-color'", "fill": "'fill-color'", "line": "'line-color'"}


@dataclass(frozen=True, slots=True)
class Snippet:
    """The code for one client.

    Attributes:
        code: the text to copy.
        steps: what the user does with it.
    """

    client: str
    code: str
    steps: Sequence[str] = ()


def write_snippets(
    base: str,
    collection: Collection,
    bbox: Sequence[float] | None = None,
    *,
    has_tiles: bool = True,
) -> tuple[Snippet, ...]:
    """A snippet for each client that can read the collection.

    Programs that list layers cannot give arguments to a function.

    Args:
        base: the root URL that clients see.
        bbox: the extent of the collection: (west, south, east, north), CRS84, degrees; None when it
            is not known.
        has_tiles: whether the service has tiles in Web Mercator.
    """
    url = f"{base}/collections/{quote(collection.id, safe='')}"
    arguments = ""
    for parameter in collection.parameters or ():
        if parameter.required:
            arguments += f"&{quote(parameter.name, safe='')}=VALUE"
    snippets = [_curl(url, arguments)]
    if not arguments:
        snippets += _of_layers(base, collection, bbox)
    map_url = f"{url}/items?limit={_MAP_FEATURES}{arguments}"
    layer_comment = _limit_comment(collection)
    snippets.append(_maplibre(map_url, collection, layer_comment))
    snippets.append(_leaflet(map_url, layer_comment))
    if has_tiles:
        snippets += _of_tiles(url, arguments)
    if collection.has_change_stream:
        snippets += _of_changes(f"{url}/changes")
    return tuple(snippets)


def _curl(url: str, arguments: str) -> Snippet:
    page = f"curl '{url}/items?limit=10{arguments}'"
    export = f"curl -o features.csv '{url}/export?f=csv{arguments}'"
    return Snippet("curl", f"{page}\n{export}")


def _of_tiles(url: str, arguments: str) -> tuple[Snippet, ...]:
    """The snippets for all features as tiles.

    Args:
        url: of the collection.
        arguments: of the function, each after an ampersand; or empty.
    """
    query = f"?{arguments[1:]}" if arguments else ""
    style = _script_text(f"{url}/style{query}")
    tiles = f"{url}/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}.mvt{query}"
    return (
        Snippet(
            "MapLibre, tiles",
            f"const map = new maplibregl.Map({{ container: 'map', style: {style} }});",
        ),
        Snippet(
            "OpenLayers, tiles",
            "map.addLayer(new ol.layer.VectorTile({\n"
            "  source: new ol.source.VectorTile({\n"
            "    format: new ol.format.MVT(),\n"
            f"    url: {_script_text(tiles)},\n"
            "  }),\n"
            "}));",
        ),
        Snippet(
            "QGIS, tiles",
            tiles,
            (
                "Layer ▸ Add Layer ▸ Add Vector Tile Layer…",
                "New ▸ New Generic Connection…",
                "Paste the address into URL, and OK",
                "Add",
            ),
        ),
        Snippet(
            "Leaflet, tiles",
            "// with MapLibre GL JS and @maplibre/maplibre-gl-leaflet\n"
            f"L.maplibreGL({{ style: {style} }}).addTo(map);",
        ),
    )


def _of_changes(url: str) -> tuple[Snippet, ...]:
    return (
        Snippet("curl, live", f"curl -N '{url}'"),
        Snippet(
            "EventSource",
            f"const changes = new EventSource({_script_text(url)});\n"
            "for (const name of ['insert', 'update', 'delete', 'bulk', 'resync']) {\n"
            "  changes.addEventListener(name,"
            " event => console.log(name, JSON.parse(event.data)));\n"
            "}",
        ),
    )


def _western_half(bbox: Sequence[float]) -> str:
    """The western half of an extent. It contains features, since one of them is the westernmost.

    An extent that crosses the antimeridian is cut there.
    """
    west, south, east, north = bbox
    middle = west + (east - west) / 2
    if west > east:
        middle = 180.0
    # rounded outwards, so that a feature on the edge is inside
    sides = (
        math.floor(west * 100) / 100,
        math.floor(south * 100) / 100,
        math.ceil(middle * 100) / 100,
        math.ceil(north * 100) / 100,
    )
    return ", ".join(f"{max(-180, min(180, side)):g}" for side in sides)


def _of_layers(
    base: str, collection: Collection, bbox: Sequence[float] | None
) -> tuple[Snippet, ...]:
    shell_name = shlex.quote(collection.id)
    layer = f'"OAPIF:{base}/", layer={json.dumps(collection.id)}'
    python = f"import geopandas\n\nfeatures = geopandas.read_file({layer})"
    if bbox:
        python += f"\nsome = geopandas.read_file({layer}, bbox=({_western_half(bbox)}))"
    return (
        Snippet(
            "GDAL",
            f"ogrinfo -so 'OAPIF:{base}/' {shell_name}\n"
            f"ogr2ogr -f GPKG features.gpkg 'OAPIF:{base}/' {shell_name}",
        ),
        Snippet("geopandas", python),
        Snippet(
            "QGIS",
            f"{base}/",
            (
                "Layer ▸ Add Layer ▸ Add WFS / OGC API - Features Layer…",
                "New, and paste the address into URL",
                "Version: OGC API - Features; OK",
                f"Connect, choose “{collection.title}”, Add",
            ),
        ),
    )


def _limit_comment(collection: Collection) -> str:
    """A comment that there may be more features than the map shows; empty if there are few."""
    # the number of rows is an estimate
    if collection.rows is not None and collection.rows <= _MAP_FEATURES // 2:
        return ""
    return f"// at most {_MAP_FEATURES:,} features; the link 'next' of the response has more\n"


def _maplibre(url: str, collection: Collection, comment: str) -> Snippet:
    source = _script_text(collection.id)
    layer = _LAYERS.get(collection.geometry.type, "line")
    return Snippet(
        "MapLibre",
        f"{comment}map.on('load', () => {{\n"
        f"  map.addSource({source}, {{ type: 'geojson', data: {_script_text(url)} }});\n"
        f"  map.addLayer({{ id: {source}, type: '{layer}', source: {source},"
        f" paint: {{ {_PAINT[layer]}: '#0b62b8' }} }});\n"
        f"}});",
    )


def _leaflet(url: str, comment: str) -> Snippet:
    return Snippet(
        "Leaflet",
        f"{comment}fetch({_script_text(url)})\n  .then(response => response.json())\n"
        "  .then(features => L.geoJSON(features).addTo(map));",
    )


def _script_text(text: str) -> str:
    """A JavaScript literal of a text."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
