"""Tile matrix sets: where tiles are, and which there are."""

import pytest

from geosvc.errors import InvalidParameter, NotFound, SettingsError
from geosvc.model.crs import WGS84
from geosvc.model.tile_matrix_set import BUFFER, EXTENT, TileMatrixSet
from geosvc.tile_matrix_sets import load_tile_matrix_sets

WORLD = 20_037_508.342789244


@pytest.fixture(scope="module")
def mercator() -> TileMatrixSet:
    return load_tile_matrix_sets(["WebMercatorQuad"]).find("WebMercatorQuad")


def test_rows_go_south_and_columns_east(mercator: TileMatrixSet) -> None:
    box = mercator.tile("1", "0", "1").bbox
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == pytest.approx((0, 0, WORLD, WORLD))
    box = mercator.tile("1", "1", "0").bbox
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == pytest.approx((-WORLD, -WORLD, 0, 0))


@pytest.mark.parametrize("zoom", [0, 5, 14, 24])
def test_the_tiles_of_a_zoom_fill_the_world(mercator: TileMatrixSet, zoom: int) -> None:
    last = str(2**zoom - 1)
    first, end = mercator.tile(str(zoom), "0", "0").bbox, mercator.tile(str(zoom), last, last).bbox
    assert (first.xmin, first.ymax) == pytest.approx((-WORLD, WORLD))
    assert (end.xmax, end.ymin) == pytest.approx((WORLD, -WORLD), rel=1e-6)


def test_the_buffer_is_a_part_of_the_width(mercator: TileMatrixSet) -> None:
    tile = mercator.tile("3", "2", "2")
    assert tile.bbox.xmin - tile.buffered_bbox.xmin == pytest.approx(
        tile.matrix.width * BUFFER / EXTENT
    )
    assert tile.buffered_bbox.ymax - tile.bbox.ymax == pytest.approx(
        tile.matrix.height * BUFFER / EXTENT
    )


@pytest.mark.parametrize(
    ("row", "column", "error"),
    [
        ("8", "0", NotFound),
        ("0", "8", NotFound),
        ("9" * 30, "0", NotFound),
        ("-1", "0", InvalidParameter),
        ("1.0", "0", InvalidParameter),
        ("", "0", InvalidParameter),
        ("٣", "0", InvalidParameter),
    ],
)
def test_what_is_no_tile_is_refused(
    mercator: TileMatrixSet, row: str, column: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        mercator.tile("3", row, column)


def test_coordinates_are_x_before_y_in_every_set() -> None:
    sets = load_tile_matrix_sets(["WorldCRS84Quad", "WGS1984Quad", "EuropeanETRS89_LAEAQuad"])
    for name in ("WorldCRS84Quad", "WGS1984Quad"):
        found = sets.find(name)
        assert found.srid == WGS84
        box = found.tile("0", "0", "1").bbox
        assert (box.xmin, box.ymin, box.xmax, box.ymax) == (0, -90, 180, 90)
    europe = sets.find("EuropeanETRS89_LAEAQuad").tile("0", "0", "0").bbox
    assert (europe.xmin, europe.ymax) == (2_000_000, 5_500_000)


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["WebMercatorQad"], "did you mean"),
        (["CDB1GlobalGrid"], "different numbers of tiles"),
        (["WebMercatorQuad", "WebMercatorQuad"], "named twice"),
        (["/nowhere/set.json"], "No such file"),
    ],
)
def test_what_is_no_set_ends_the_start(names: list[str], fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        load_tile_matrix_sets(names)
