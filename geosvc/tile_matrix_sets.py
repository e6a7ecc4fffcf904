"""The tile matrix sets of a service: those that morecantile knows, and definitions in files.

Source: OGC 17-083r4.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import morecantile
from pydantic import ValidationError

from geosvc.errors import NotFound, SettingsError
from geosvc.model.crs import CRS84_URI, WGS84, Srid, crs_uri, known_crs
from geosvc.model.similar_names import did_you_mean
from geosvc.model.tile_matrix_set import TileMatrix, TileMatrixSet, TileMatrixSetId

_SETTING = "GEOSVC_TILE_MATRIX_SETS"


class TileMatrixSets:
    """The sets that a service offers, in the order of the settings."""

    def __init__(self, offered: Iterable[TileMatrixSet]) -> None:
        self._by_id = {each.id: each for each in offered}

    def __iter__(self) -> Iterator[TileMatrixSet]:
        return iter(self._by_id.values())

    def find(self, set_id: str) -> TileMatrixSet:
        """The set with this id. Raises: NotFound."""
        found = self._by_id.get(TileMatrixSetId(set_id))
        if found is None:
            near = did_you_mean(set_id, self._by_id)
            raise NotFound(f"there is no tile matrix set {set_id!r}{near}")
        return found


def load_tile_matrix_sets(names: Iterable[str]) -> TileMatrixSets:
    """Loads sets by their names, or from the JSON files with their definitions.

    Raises: SettingsError for an unknown name, a file that is not a definition, a CRS that PROJ does
        not know, and a set whose rows have different numbers of tiles.
    """
    loaded: dict[str, TileMatrixSet] = {}
    for name in names:
        matrix_set = _load(name)
        if matrix_set.id in loaded:
            raise _mistake(f"{matrix_set.id} is named twice")
        loaded[matrix_set.id] = matrix_set
    return TileMatrixSets(loaded.values())


def _load(name: str) -> TileMatrixSet:
    if name.endswith(".json"):
        return convert_set(_read(Path(name)), name)
    known: Mapping[str, object] = morecantile.tms.tilematrixsets
    if name not in known:
        raise _mistake(f"there is no tile matrix set {name}{did_you_mean(name, known)}")
    return convert_set(morecantile.tms.get(name), name)


def _read(path: Path) -> morecantile.TileMatrixSet:
    try:
        return morecantile.TileMatrixSet.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _mistake(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _mistake(f"{path}: {place}: {first['msg']}") from None


def convert_set(source: morecantile.TileMatrixSet, name: str) -> TileMatrixSet:
    """A set of morecantile as geosvc uses it.

    Args:
        name: of the setting, for errors.
    Raises: SettingsError.
    """
    matrices: list[TileMatrix] = []
    for zoom, matrix in enumerate(source.tileMatrices):
        if matrix.variableMatrixWidths:
            raise _mistake(f"{name}: its rows have different numbers of tiles")
        first = source.xy_bounds(morecantile.Tile(0, 0, zoom))
        is_bottom_up = matrix.cornerOfOrigin == "bottomLeft"
        matrices.append(
            TileMatrix(
                id=matrix.id,
                zoom=zoom,
                left=first.left,
                edge=first.bottom if is_bottom_up else first.top,
                width=first.right - first.left,
                height=first.top - first.bottom,
                columns=matrix.matrixWidth,
                rows=matrix.matrixHeight,
                is_bottom_up=is_bottom_up,
            )
        )
    srid, uri = _crs_of(source, name)
    document = source.model_dump(mode="json", exclude_none=True)
    return TileMatrixSet(
        TileMatrixSetId(source.id or name),
        source.title or source.id or name,
        str(source.uri) if source.uri is not None else None,
        uri,
        srid,
        tuple(matrices),
        document,
    )


def _crs_of(source: morecantile.TileMatrixSet, name: str) -> tuple[Srid, str]:
    """The SRID, and the URI by which clients name the CRS. Raises: SettingsError."""
    if source.model_dump(mode="json")["crs"] == CRS84_URI:
        return WGS84, CRS84_URI
    code = source.crs.to_epsg()
    if code is None or known_crs(Srid(code)) is None:
        raise _mistake(f"{name}: its reference system has no EPSG code")
    return Srid(code), crs_uri(Srid(code))


def _mistake(text: str) -> SettingsError:
    return SettingsError([f"{_SETTING}: {text}"])
