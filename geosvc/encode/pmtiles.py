"""PMTiles: an archive of tiles in one file. Source: PMTiles 3.

    header | root directory | free up to 16,384 | tiles | metadata | leaf directories

The root directory must end before 16,384, so that a client has it with the header. Tiles stand
behind that place: they are written as they are made, before the directories are known.
"""

import gzip
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from geosvc.model.bounds import Bounds

HEADER_BYTES = 127
TILES_OFFSET = 16_384
"""Where the first tile stands."""

MOST_ROOT_BYTES = TILES_OFFSET - HEADER_BYTES

_LEAF_ENTRIES = 4_096  # of a leaf directory; more where the root would be too long
_HEADER = Struct("<7sB11Q6B4iB2i")
_GZIP = 2
_MVT = 1
_E7 = 10_000_000


def tile_id_of(zoom: int, column: int, row: int) -> int:
    """The number of a tile: zoom by zoom, within each along a Hilbert curve."""
    position = 0
    for level in range(zoom - 1, -1, -1):
        half = 1 << level
        right, down = column & half, row & half
        position += ((3 * right) ^ down) << level
        column, row = _turned(half, column, row, right, down)
    return first_tile_id(zoom) + position


def place_of(zoom: int, position: int) -> tuple[int, int]:
    """(column, row) of the tile at a position of the curve of a zoom, from 0."""
    column = row = 0
    for level in range(zoom):
        half = 1 << level
        right = (position >> 1) & 1
        down = (position ^ right) & 1
        column, row = _turned(half, column, row, right, down)
        column += half * right
        row += half * down
        position >>= 2
    return column, row


def first_tile_id(zoom: int) -> int:
    """The number of the first tile of a zoom: how many tiles the zooms above have."""
    return ((1 << 2 * zoom) - 1) // 3


def _turned(half: int, column: int, row: int, right: int, down: int) -> tuple[int, int]:
    """Turns one quarter of the curve, so that it goes on where the quarter before has ended."""
    if down:
        return column, row
    if right:
        column, row = half - 1 - column, half - 1 - row
    return row, column


class TileIndex:
    """Where the tiles of an archive are: 24 bytes for each entry.

    An entry is for one tile, or for several with consecutive ids and one content.
    """

    def __init__(self) -> None:
        self.ids = array("Q")
        self.offsets = array("Q")
        self.lengths = array("I")
        self.runs = array("I")
        self.tiles = 0

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, tile_id: int, offset: int, length: int) -> None:
        """Adds a tile.

        Args:
            tile_id: greater than that of the tile before.
            offset: of its content, from that of the first tile, in bytes.
        """
        self.tiles += 1
        if self.ids and self.offsets[-1] == offset and self.ids[-1] + self.runs[-1] == tile_id:
            self.runs[-1] += 1
            return
        self.ids.append(tile_id)
        self.offsets.append(offset)
        self.lengths.append(length)
        self.runs.append(1)

    def directories(self, most_root_bytes: int = MOST_ROOT_BYTES) -> "Directories":
        """The directories of the archive, compressed."""
        root = self.encode(0, len(self))
        if len(root) <= most_root_bytes:
            return Directories(root, b"")
        size = _LEAF_ENTRIES
        while True:
            found = self._with_leaves(size)
            if len(found.root) <= most_root_bytes:
                return found
            size *= 2

    def _with_leaves(self, size: int) -> "Directories":
        root = TileIndex()
        leaves = bytearray()
        for begin in range(0, len(self), size):
            leaf = self.encode(begin, begin + size)
            root.add(self.ids[begin], len(leaves), len(leaf))
            root.runs[-1] = 0  # which tells a leaf directory from a tile
            leaves += leaf
        return Directories(root.encode(0, len(root)), bytes(leaves))

    def encode(self, begin: int, end: int) -> bytes:
        """The directory of some entries, compressed."""
        ids = self.ids[begin:end]
        written = bytearray()
        _write_number(written, len(ids))
        before = 0
        for tile_id in ids:
            _write_number(written, tile_id - before)
            before = tile_id
        for run in self.runs[begin:end]:
            _write_number(written, run)
        for length in self.lengths[begin:end]:
            _write_number(written, length)
        for number in self._offset_numbers(begin, begin + len(ids)):
            _write_number(written, number)
        return compress(bytes(written))

    def _offset_numbers(self, begin: int, end: int) -> Iterator[int]:
        """Offsets as a directory has them: 0 where a content follows the one before."""
        following = -1
        for entry in range(begin, end):
            offset = self.offsets[entry]
            yield 0 if offset == following else offset + 1
            following = offset + self.lengths[entry]


@dataclass(frozen=True, slots=True)
class Directories:
    """The directories of an archive, compressed; no leaves where all entries fit into the root."""

    root: bytes
    leaves: bytes


@dataclass(frozen=True, slots=True)
class ArchiveHeader:
    """What the first bytes of an archive say.

    Attributes:
        tile_bytes, metadata_bytes: the lengths of these parts.
        contents: how many different ones were written.
        bounds: west, south, east, north, degrees; west is not greater than east.
    """

    index: TileIndex
    directories: Directories
    tile_bytes: int
    metadata_bytes: int
    contents: int
    least_zoom: int
    most_zoom: int
    bounds: Bounds

    def encode(self) -> bytes:
        """The header, and the root directory, which follows it."""
        metadata_offset = TILES_OFFSET + self.tile_bytes
        west, south, east, north = self.bounds
        longitude, latitude = self.center
        header = _HEADER.pack(
            b"PMTiles",
            3,
            HEADER_BYTES,
            len(self.directories.root),
            metadata_offset,
            self.metadata_bytes,
            metadata_offset + self.metadata_bytes,
            len(self.directories.leaves),
            TILES_OFFSET,
            self.tile_bytes,
            self.index.tiles,
            len(self.index),
            self.contents,
            True,  # the tiles are in the order of their ids
            _GZIP,
            _GZIP,
            _MVT,
            self.least_zoom,
            self.most_zoom,
            *(round(degrees * _E7) for degrees in (west, south, east, north)),
            self.center_zoom,
            round(longitude * _E7),
            round(latitude * _E7),
        )
        return header + self.directories.root

    @property
    def center(self) -> tuple[float, float]:
        """Longitude and latitude, degrees."""
        west, south, east, north = self.bounds
        return (west + east) / 2, (south + north) / 2

    @property
    def center_zoom(self) -> int:
        """The deepest zoom whose tiles are as wide as the bounds."""
        west, _, east, _ = self.bounds
        zoom = self.least_zoom
        while zoom < self.most_zoom and 360 / 2 ** (zoom + 1) >= east - west:
            zoom += 1
        return zoom


def compress(content: bytes) -> bytes:
    """A tile, a directory or the metadata, as gzip; equal contents have equal bytes."""
    return gzip.compress(content, mtime=0)


def _write_number(target: bytearray, number: int) -> None:
    """Appends a number in groups of seven bits, the lowest first."""
    while number > 0x7F:
        target.append(number & 0x7F | 0x80)
        number >>= 7
    target.append(number)
