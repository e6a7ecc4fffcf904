"""Every href and rel of tiles. Source: OGC 20-057 8.2, OGC 17-083r4 and TileJSON 3.0."""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, urlencode

from geosvc.http.links import REL, Link, collection_url, document_links, link
from geosvc.model.collection import Collection
from geosvc.model.media_type import GEOJSON, JSON, MAP_STYLE, MVT, TILEJSON
from geosvc.model.tile_matrix_set import TileMatrixSet

TILESETS_REL = f"{REL}/tilesets-vector"
SETS_REL = f"{REL}/tiling-schemes"
SET_REL = f"{REL}/tiling-scheme"
STYLE_REL = "stylesheet"
STYLE_MATRIX_SET = "WebMercatorQuad"
"""MapLibre shows tiles of this set alone."""

TemplatedLink = Mapping[str, object]


def tiles_url(base: str, collection: Collection | None) -> str:
    """The URL of the tilesets of a collection, or of the dataset."""
    if collection is None:
        return f"{base}/tiles"
    return f"{collection_url(base, collection)}/tiles"


def tileset_url(base: str, collection: Collection | None, matrix_set: TileMatrixSet) -> str:
    """The URL of one tileset."""
    return f"{tiles_url(base, collection)}/{quote(matrix_set.id, safe='')}"


def sets_url(base: str) -> str:
    """The URL of all tile matrix sets."""
    return f"{base}/tileMatrixSets"


def set_url(base: str, matrix_set: TileMatrixSet) -> str:
    """The URL of a tile matrix set."""
    return f"{sets_url(base)}/{quote(matrix_set.id, safe='')}"


def set_links(base: str, matrix_set: TileMatrixSet) -> list[Link]:
    """The links of a tile matrix set in the list of them."""
    return [link(set_url(base, matrix_set), "self", JSON, matrix_set.title)]


def _query(values: Mapping[str, str]) -> str:
    kept = {name: value for name, value in values.items() if name != "f"}
    if not kept:
        return ""
    return "?" + urlencode(kept, quote_via=quote, safe=",:/")


def xyz_template(url: str, values: Mapping[str, str]) -> str:
    """The URL template of tiles for clients that know z, x and y.

    Args:
        url: of the tileset.
        values: the parameters of each tile.
    """
    return f"{url}/{{z}}/{{x}}/{{y}}.mvt{_query(values)}"


def tilejson_url(
    base: str,
    collection: Collection | None,
    matrix_set: TileMatrixSet,
    values: Mapping[str, str],
) -> str:
    """The URL of a tileset as TileJSON.

    Args:
        values: the parameters of each tile.
    """
    query = _query(values)
    separator = "&" if query else "?"
    url = tileset_url(base, collection, matrix_set)
    return f"{url}{query}{separator}f={TILEJSON.short}"


def style_link(base: str, collection: Collection | None, values: Mapping[str, str]) -> Link:
    """The link to a style of the tiles. Source: OGC 20-009 7 for the rel.

    Args:
        values: the parameters of each tile.
    """
    url = f"{base}/style" if collection is None else f"{collection_url(base, collection)}/style"
    return link(f"{url}{_query(values)}", STYLE_REL, MAP_STYLE, "Map style")


def tileset_links(
    base: str,
    collection: Collection | None,
    matrix_set: TileMatrixSet,
    values: Mapping[str, str],
) -> Sequence[TemplatedLink]:
    """The links of a tileset: itself, its TileJSON, its tiles, and its tile matrix set.

    Args:
        values: the parameters of each tile.
    """
    url = tileset_url(base, collection, matrix_set)
    query = _query(values)
    tiles = link(
        f"{url}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}{query}", "item", MVT, "Tiles as MVT"
    )
    links: list[TemplatedLink] = [
        *document_links(url),
        link(
            tilejson_url(base, collection, matrix_set, values), "describedby", TILEJSON, "TileJSON"
        ),
        {**tiles, "templated": True},
        link(set_url(base, matrix_set), SET_REL, JSON, matrix_set.title),
    ]
    if matrix_set.id == STYLE_MATRIX_SET:
        links.append(style_link(base, collection, values))
    if collection is not None:
        items = f"{collection_url(base, collection)}/items"
        links.append(link(items, f"{REL}/geodata", GEOJSON, "The features"))
    return links


def has_styles(matrix_sets: Iterable[TileMatrixSet]) -> bool:
    """Whether a service with these sets has styles."""
    return any(matrix_set.id == STYLE_MATRIX_SET for matrix_set in matrix_sets)


def tiles_links(
    base: str, collection: Collection | None, matrix_sets: Iterable[TileMatrixSet]
) -> list[Link]:
    """The links to the tilesets of a collection, or of the dataset, and to a style of them.

    Args:
        matrix_sets: those of the service.
    """
    links = [link(tiles_url(base, collection), TILESETS_REL, JSON, "Vector tiles")]
    if has_styles(matrix_sets):
        links.append(style_link(base, collection, {}))
    return links


def sets_link(base: str) -> Link:
    """The link of the landing page to the tile matrix sets."""
    return link(sets_url(base), SETS_REL, JSON, "Tile matrix sets")
