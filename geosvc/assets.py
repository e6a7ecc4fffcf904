"""What the pages are made of besides HTML: style, scripts, the map library.

They travel with the package; the libraries are put into `static/vendor` by scripts/assets
(docs/decisions/0018). Where they are missing, pages do without.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Self

FOLDER = Path(__file__).parent / "static"
MAP_LIBRARY = "vendor/maplibre-gl.mjs"
API_LIBRARY = "vendor/swagger-ui-bundle.js"
# map.js and all scripts that it imports. Pages with a map name them, so that a browser fetches them
# at once instead of one import after the other.
MAP_SCRIPTS = (
    "bounds.js",
    "box_drawing.js",
    "boxes.js",
    "change_events.js",
    "feature_layers.js",
    "feature_panel.js",
    "feature_picker.js",
    "feature_requests.js",
    "feature_rows.js",
    "feature_store.js",
    "feature_urls.js",
    "map.js",
    "map_legend.js",
    "map_note.js",
    "map_style.js",
    "property_text.js",
    "shown_features.js",
    "spots.js",
    "tile_features.js",
    "tile_layers.js",
)
# the only files that are served
FILES = (
    "geosvc.css",
    "icon.svg",
    "api.js",
    "change_stream.js",
    "copy_buttons.js",
    "delays.js",
    "listing.js",
    "listing_renewal.js",
    "live_feature.js",
    "live_listing.js",
    "live_status.js",
    "pages.js",
    "query_form.js",
    "table_search.js",
    "word_search.js",
    *MAP_SCRIPTS,
    "countries.json",
    MAP_LIBRARY,
    "vendor/maplibre-gl-worker.mjs",
    "vendor/maplibre-gl.css",
    API_LIBRARY,
    "vendor/swagger-ui.css",
    "vendor/LICENSES.txt",
)
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served.

    Attributes:
        coded: the body in each content coding that was asked for.
    """

    body: bytes
    content_type: str
    coded: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assets:
    """The files by name.

    Attributes:
        version: changes whenever a file does; part of every URL, so that browsers may keep files
            for ever and scripts can name each other.
    """

    files: Mapping[str, Asset]
    version: str

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Self:
        """Reads the files that are there."""
        files, digest = {}, sha256()
        for name in FILES:
            path = folder / name
            if path.is_file():
                body = path.read_bytes()
                digest.update(b"%s %d\n" % (name.encode(), len(body)))
                digest.update(body)
                files[name] = Asset(body, _CONTENT_TYPES[path.suffix])
        return cls(files, digest.hexdigest()[:16])

    @property
    def has_map(self) -> bool:
        """Whether the map library is there."""
        return MAP_LIBRARY in self.files

    @property
    def map_scripts(self) -> tuple[str, ...]:
        """The scripts of a map, which a page names so that they are fetched at once."""
        return MAP_SCRIPTS

    @property
    def has_api_page(self) -> bool:
        """Whether Swagger UI is there."""
        return API_LIBRARY in self.files
