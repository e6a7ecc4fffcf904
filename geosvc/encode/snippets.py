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
    """One for each client that can read it: programs that list layers give a function no arguments.

    Args:
        base: the root that clients see.
    """
    url = f"{base}/collections/{quote(collection.id, safe='')}"
    needed = [f"{quote(each.name, safe='')}=VALUE" for each in collection.parameters or () if each.required]
    of_layers = () if needed else _of_layers(base, collection)
    live = _of_changes(f"{url}/changes") if collection.is_followed else ()
    return (_curl(url, needed), *of_layers, *_scripts("&".join([f"{url}/items?limit=1000", *needed]), collection), *live)


def _curl(url: str, needed: Sequence[str]) -> Snippet:
    page, whole = "&".join([f"{url}/items?limit=10", *needed]), "&".join([f"{url}/export?f=csv", *needed])
    return Snippet("curl", f"curl '{page}'\ncurl -o features.csv '{whole}'")


def _of_changes(url: str) -> tuple[Snippet, ...]:
    return (
        Snippet("curl, live", f"curl -N '{url}'"),
        Snippet(
            "EventSource",
            f"const changes = new EventSource({_script_text(url)});\n"
            "for (const name of ['insert', 'update', 'delete', 'bulk', 'resync']) {\n"
            "  changes.addEventListener(name, event => console.log(name, JSON.parse(event.data)));\n"
            "}",
        ),
    )


def _of_layers(base: str, collection: Collection) -> tuple[Snippet, ...]:
    shell_name, python_name = shlex.quote(collection.id), json.dumps(collection.id)
    return (
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
    )


def _scripts(url: str, collection: Collection) -> tuple[Snippet, ...]:
    script_name, script_url = _script_text(collection.id), _script_text(url)
    layer = _LAYERS.get(collection.geometry.type, "line")
    return (
        Snippet(
            "MapLibre",
            f"map.on('load', () => {{\n"
            f"  map.addSource({script_name}, {{ type: 'geojson', data: {script_url} }});\n"
            f"  map.addLayer({{ id: {script_name}, type: '{layer}', source: {script_name},"
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
