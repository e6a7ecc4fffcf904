"""Tile matrix sets: how a CRS is divided into tiles at each zoom. Source: OGC 17-083r4.

Coordinates are x before y, whatever the axis order of the CRS.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NewType

from geosvc.errors import InvalidParameter, NotFound
from geosvc.model.bbox import Bbox
from geosvc.model.crs import Srid

TileMatrixSetId = NewType("TileMatrixSetId", str)

EXTENT = 4096
"""The coordinates of a tile go from 0 to this number in each direction."""

BUFFER = 64
"""So many of them a tile continues beyond each of its edges, so that lines have no seams."""

PIXELS = 512
"""The width of a tile on a screen, as MapLibre shows it."""

_MAX_DIGITS = 10  # of a row or column


@dataclass(frozen=True, slots=True)
class TileMatrix:
    """The tiles of one zoom: a grid.

    Attributes:
        id: its name in URLs; a number in all sets that are in use.
        zoom: its place in the set, from 0.
        left: x of the west edge of the first column, in units of the CRS.
        edge: y of that edge of the first row where rows begin: the north one, or the south one.
        width, height: of one tile, in units of the CRS.
        columns, rows: how many there are.
        is_bottom_up: whether rows begin in the south.
    """

    id: str
    zoom: int
    left: float
    edge: float
    width: float
    height: float
    columns: int
    rows: int
    is_bottom_up: bool = False


@dataclass(frozen=True, slots=True)
class TileMatrixSet:
    """A CRS with its tile matrices, from the coarsest to the finest.

    Attributes:
        uri: of its registered definition; None where it has none.
        crs_uri: as clients name its CRS.
        document: its definition in JSON.
    """

    id: TileMatrixSetId
    title: str
    uri: str | None
    crs_uri: str
    srid: Srid
    matrices: tuple[TileMatrix, ...]
    document: Mapping[str, Any]

    def matrix(self, matrix_id: str) -> TileMatrix:
        """The tile matrix with this id. Raises: NotFound."""
        for matrix in self.matrices:
            if matrix.id == matrix_id:
                return matrix
        raise NotFound(f"{self.id} has no tile matrix {matrix_id!r}")

    def tile(self, matrix_id: str, row_text: str, column_text: str) -> "Tile":
        """The tile of a request.

        Raises: InvalidParameter for a row or a column that is no number; NotFound for a tile
            outside the matrix.
        """
        row = _parse_index("tileRow", row_text)
        column = _parse_index("tileCol", column_text)
        matrix = self.matrix(matrix_id)
        if row >= matrix.rows or column >= matrix.columns:
            raise NotFound(
                f"tile matrix {matrix.id} of {self.id} has {matrix.rows} rows and"
                f" {matrix.columns} columns"
            )
        return Tile(self, matrix, row, column)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of a tile matrix."""

    matrix_set: TileMatrixSet
    matrix: TileMatrix
    row: int
    column: int

    @property
    def bbox(self) -> Bbox:
        """The tile without its buffer, in the CRS of the set."""
        matrix = self.matrix
        xmin = matrix.left + self.column * matrix.width
        ymin = matrix.edge + self.row * matrix.height
        if not matrix.is_bottom_up:
            ymin = matrix.edge - (self.row + 1) * matrix.height
        return Bbox(
            xmin, ymin, xmin + matrix.width, ymin + matrix.height, srid=self.matrix_set.srid
        )

    @property
    def buffered_bbox(self) -> Bbox:
        """The tile with its buffer, in the CRS of the set."""
        return grown(self.bbox, BUFFER / EXTENT)

    @property
    def pixel(self) -> float:
        """The width of a pixel of a screen, in units of the CRS of the set."""
        return self.matrix.width / PIXELS


def grown(box: Bbox, share: float) -> Bbox:
    """A box that extends by a share of its width, and of its height, beyond each side."""
    across, up = box.width * share, box.height * share
    return replace(
        box,
        xmin=box.xmin - across,
        ymin=box.ymin - up,
        xmax=box.xmax + across,
        ymax=box.ymax + up,
    )


def _parse_index(name: str, text: str) -> int:
    is_digits = text.isascii() and text.isdigit()
    if not is_digits:
        raise InvalidParameter(f"{name} takes a whole number from 0", parameter=name)
    if len(text) > _MAX_DIGITS:
        raise NotFound(f"no tile matrix has the {name} {text}")
    return int(text)
