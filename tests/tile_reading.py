"""Reads vector tiles with GDAL, which is a program of others."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from shapely.geometry.base import BaseGeometry

WORLD = 20_037_508.342789244
EXTENT = 4096


@dataclass(frozen=True)
class ReadFeature:
    """A feature of a tile.

    Attributes:
        id: None without one.
        geometry: in EPSG:3857.
    """

    id: int | None
    geometry: BaseGeometry
    properties: dict[str, Any]


def read_tile(
    body: bytes, folder: Path, address: tuple[int, int, int]
) -> dict[str, list[ReadFeature]]:
    """The features of each layer of a tile of WebMercatorQuad.

    Args:
        address: (zoom, row, column).
    """
    zoom, row, column = address
    path = folder / str(zoom) / str(column) / f"{row}.mvt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    layers: dict[str, list[ReadFeature]] = {}
    for name, _ in pyogrio.list_layers(path):
        meta, _, geometries, values = pyogrio.raw.read(path, layer=name)
        fields = [str(field) for field in meta["fields"]]
        features: list[ReadFeature] = []
        for number, wkb in enumerate(geometries):
            found = {
                field: column[number].item() if hasattr(column[number], "item") else column[number]
                for field, column in zip(fields, values, strict=True)
            }
            given = {key: value for key, value in found.items() if not _is_missing(value)}
            id_ = given.pop("mvt_id", None)
            features.append(
                ReadFeature(None if id_ is None else int(id_), shapely.from_wkb(wkb), given)
            )
        layers[str(name)] = features
    return layers


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def tile_box(zoom: int, row: int, column: int, margin: float = 0.0) -> BaseGeometry:
    """A tile of WebMercatorQuad in EPSG:3857, grown by a share of its width on each side."""
    width = 2 * WORLD / 2**zoom
    left, top = column * width - WORLD, WORLD - row * width
    grown = margin * width
    box: BaseGeometry = shapely.box(
        left - grown, top - width - grown, left + width + grown, top + grown
    )
    return box


def tile_at(zoom: int, longitude: float, latitude: float) -> tuple[int, int, int]:
    """(zoom, row, column) of the tile of WebMercatorQuad with a place in degrees."""
    x = (longitude + 180) / 360
    y = 0.5 - np.arcsinh(np.tan(np.radians(latitude))) / (2 * np.pi)
    most = 2**zoom - 1
    return zoom, min(int(y * 2**zoom), most), min(int(x * 2**zoom), most)
