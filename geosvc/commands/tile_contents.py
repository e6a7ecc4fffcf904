"""What the tiles of an archive have: their contents, each written once, and the area they cover."""

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import IO

from geosvc.commands.tile_pyramid import MadeTile
from geosvc.encode.pmtiles import TILES_OFFSET, TileIndex
from geosvc.model.bounds import Bounds
from geosvc.model.tile_matrix_set import Tile, TileMatrixSet

_REMEMBERED = 262_144  # 50 MB
_DIGEST_BYTES = 32


@dataclass(slots=True)
class TileContents:
    """The tiles of an archive as they are written: each content once.

    Contents are compared by a hash of 256 bits. Of very many only the last are remembered, so that
    memory is bounded: one that comes again after that many others is written again.

    Attributes:
        number: of contents that were written.
        size: of all of them, in bytes.
    """

    stream: IO[bytes]
    index: TileIndex = field(default_factory=TileIndex)
    number: int = 0
    size: int = 0
    _known: OrderedDict[bytes, int] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.stream.seek(TILES_OFFSET)

    def add(self, tile: MadeTile) -> None:
        """Writes a tile, whose id is greater than that of the tile before. Raises: OSError."""
        digest = blake2b(tile.content, digest_size=_DIGEST_BYTES).digest()
        offset = self._known.get(digest)
        if offset is None:
            offset = self._write(tile.content)
        self._known[digest] = offset
        self._known.move_to_end(digest)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        self.index.add(tile.tile_id, offset, len(tile.content))

    def _write(self, content: bytes) -> int:
        offset = self.size
        self.stream.write(content)
        self.number += 1
        self.size += len(content)
        return offset


@dataclass(slots=True)
class TileArea:
    """The tiles of the deepest zoom that has some: the columns and rows from first to last."""

    zoom: int = -1
    columns: tuple[int, int] = (0, 0)
    rows: tuple[int, int] = (0, 0)

    def add(self, tile: MadeTile) -> None:
        """Adds a tile, of the same zoom as the one before or a deeper one."""
        if tile.zoom > self.zoom:
            self.zoom = tile.zoom
            self.columns = (tile.column, tile.column)
            self.rows = (tile.row, tile.row)
            return
        self.columns = (min(self.columns[0], tile.column), max(self.columns[1], tile.column))
        self.rows = (min(self.rows[0], tile.row), max(self.rows[1], tile.row))

    def bounds(self, matrix_set: TileMatrixSet, extent: Bounds | None) -> Bounds:
        """The area in degrees, as far as it is within an extent.

        Args:
            extent: of all features, degrees; None where it is not known. It does not count where it
                crosses the antimeridian.
        """
        matrix = matrix_set.matrices[self.zoom]
        first = Tile(matrix_set, matrix, self.rows[0], self.columns[0]).bbox
        last = Tile(matrix_set, matrix, self.rows[1], self.columns[1]).bbox
        northwest = first.web_mercator_to_degrees()
        southeast = last.web_mercator_to_degrees()
        west, south, east, north = area = (
            northwest.xmin,
            southeast.ymin,
            southeast.xmax,
            northwest.ymax,
        )
        if extent is None:
            return area
        within = (
            max(west, extent[0]),
            max(south, extent[1]),
            min(east, extent[2]),
            min(north, extent[3]),
        )
        if within[0] > within[2] or within[1] > within[3]:
            return area
        return within
