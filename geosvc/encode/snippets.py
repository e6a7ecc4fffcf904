"""How clients read a collection: what to type, to copy from its page. tests/test_snippets.py runs what it can."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from geosvc.model.collection import Collection

_LAYERS = {"POINT": "circle", "MULTIPOINT": "circle", "POLYGON": "fill", "MULTIPOLYGON": "fill"}
_PAINT = {"circle": "'circle-color'", "fill": "'fill-color'", "line": "'line-color'"}


@dataclass(frozen=True, slots=True)
class Snippet:
    """How one client does it.

    Attributes:
        steps: what a person does; `code` is what is copied.
    """

    client: str
    code: str
    steps: Sequence[str] = ()


def write_snippets(base: str, collection: Collection) -> tuple[Snippet, ...]:
    """One for each client.

    Args:
        base: the root that clients see.
    """
    name = collection.id
    items = f"{base}/collections/{quote(name, safe='')}/items"
    shell_name, python_name, script_url = shlex.quote(name), json.dumps(name), _script_text(f"{items}?limit=1000")
    layer = _LAYERS.get(collection.geometry.type, "line")
    return (
        Snippet(
            "curl", f"curl '{items}?limit=10'\ncurl -o features.csv '{base}/collections/{quote(name, safe='')}/export?f=csv'"
        ),
        Snippet(
            "GDAL",
            f"ogrinfo -so 'OAPIF:{base}/' {shell_name}\nogr2ogr -f GPKG features.gpkg 'OAPIF:{base}/' {shell_name}",
        ),
        Snippet(
            "geopandas",
            f'import geopandas\n\nfeatures = geopandas.read_file("OAPIF:{base}/", layer={python_name})\n'
            f'some = geopandas.read_file("OAPIF:{base}/", layer={python_name}, bbox=(5, 45, 12, 52))',
        ),
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
        Snippet(
            "MapLibre",
            f"map.on('load', () => {{\n"
            f"  map.addSource('features', {{ type: 'geojson', data: {script_url} }});\n"
            f"  map.addLayer({{ id: 'features', type: '{layer}', source: 'features',"
            f" paint: {{ {_PAINT[layer]}: '#0b62b8' }} }});\n"
            f"}});",
        ),
        Snippet(
            "Leaflet",
            f"fetch({script_url})\n  .then(response => response.json())\n  .then(features => L.geoJSON(features).addTo(map));",
        ),
    )


def _script_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
