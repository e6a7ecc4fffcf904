"""PMTiles archives, read by the package `pmtiles`, which is a program of others."""

import gzip
import random
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from pmtiles.reader import MemorySource, Reader, all_tiles
from pmtiles.tile import deserialize_directory, deserialize_header, tileid_to_zxy, zxy_to_tileid

from geosvc.encode.pmtiles import (
    HEADER_BYTES,
    MOST_ROOT_BYTES,
    TILES_OFFSET,
    ArchiveHeader,
    Directories,
    TileIndex,
    compress,
    first_tile_id,
    place_of,
    tile_id_of,
)

WORLD = (-180.0, -85.051129, 180.0, 85.051129)


@st.composite
def tiles(draw: st.DrawFn) -> tuple[int, int, int]:
    """(zoom, column, row)"""
    zoom = draw(st.integers(0, 26))
    places = st.integers(0, 2**zoom - 1)
    return zoom, draw(places), draw(places)


@st.composite
def indexes(draw: st.DrawFn) -> tuple[TileIndex, dict[int, tuple[int, int]]]:
    """An index, and (offset, length) of each tile by its id."""
    index = TileIndex()
    steps = draw(st.lists(st.tuples(st.integers(1, 2**40), st.integers(0, 4)), max_size=60))
    tile_id, offsets, end = -1, [(0, 1)], 1
    expected: dict[int, tuple[int, int]] = {}
    for step, again in steps:
        tile_id += step if step > 2**39 else step % 3 + 1
        if again < len(offsets):
            offset, length = offsets[again]
        else:
            offset, length = end, step % 70_000 + 1
            offsets.insert(0, (offset, length))
            end += length
        index.add(tile_id, offset, length)
        expected[tile_id] = (offset, length)
    return index, expected


@given(tiles())
def test_the_number_of_a_tile_is_that_of_the_specification(tile: tuple[int, int, int]) -> None:
    zoom, column, row = tile
    tile_id = tile_id_of(zoom, column, row)
    assert tile_id == zxy_to_tileid(zoom, column, row)
    assert place_of(zoom, tile_id - first_tile_id(zoom)) == (column, row)
    assert tileid_to_zxy(tile_id) == tile


def test_the_numbers_of_the_specification_are_given() -> None:
    # Source: PMTiles 3, 4.1.1
    assert [
        tile_id_of(*tile) for tile in ((0, 0, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0))
    ] == [0, 1, 2, 3, 4]
    assert tile_id_of(2, 0, 0) == 5
    assert tile_id_of(12, 3423, 1763) == 19078479


@given(tiles())
def test_the_tiles_below_a_tile_follow_each_other(tile: tuple[int, int, int]) -> None:
    zoom, column, row = tile
    position = tile_id_of(zoom, column, row) - first_tile_id(zoom)
    below = {place_of(zoom + 1, 4 * position + each) for each in range(4)}
    assert below == {(2 * column + right, 2 * row + down) for right in (0, 1) for down in (0, 1)}


@given(st.integers(1, 7))
def test_each_tile_of_the_curve_is_beside_the_one_before(zoom: int) -> None:
    places = [place_of(zoom, position) for position in range(4**zoom)]
    assert len(set(places)) == 4**zoom
    for (x, y), (next_x, next_y) in pairwise(places):
        assert abs(next_x - x) + abs(next_y - y) == 1


@given(indexes())
def test_a_directory_is_read_as_it_was_written(
    written: tuple[TileIndex, dict[int, tuple[int, int]]],
) -> None:
    index, expected = written
    found = {}
    for entry in deserialize_directory(index.encode(0, len(index))):
        for tile_id in range(entry.tile_id, entry.tile_id + entry.run_length):
            found[tile_id] = (entry.offset, entry.length)
    assert found == expected
    assert index.tiles == len(expected)


def archive(contents: dict[int, bytes], most_root_bytes: int = MOST_ROOT_BYTES) -> bytes:
    """An archive of tiles by their ids."""
    index, stored = TileIndex(), b""
    places: dict[bytes, int] = {}
    for tile_id, content in sorted(contents.items()):
        if content not in places:
            places[content] = len(stored)
            stored += content
        index.add(tile_id, places[content], len(content))
    directories = index.directories(most_root_bytes)
    metadata = compress(b'{"name": "made"}')
    header = ArchiveHeader(
        index, directories, len(stored), len(metadata), len(places), 0, 14, WORLD
    )
    return header.encode().ljust(TILES_OFFSET, b"\0") + stored + metadata + directories.leaves


@given(
    st.dictionaries(st.integers(0, 3_000), st.sampled_from([b"a", b"bb", b"ccc"]), min_size=1),
    st.sampled_from([MOST_ROOT_BYTES, 60]),
)
def test_an_archive_has_every_tile_with_and_without_leaf_directories(
    contents: dict[int, bytes], most_root_bytes: int
) -> None:
    source = MemorySource(archive(contents, most_root_bytes))
    assert dict(all_tiles(source)) == {tileid_to_zxy(each): contents[each] for each in contents}
    reader = Reader(source)
    assert reader.metadata() == {"name": "made"}
    header = reader.header()
    assert header["addressed_tiles_count"] == len(contents)
    assert header["tile_contents_count"] == len(set(contents.values()))
    assert header["clustered"] is True


def test_a_root_directory_that_would_be_too_long_has_leaves() -> None:
    index = TileIndex()
    offset = 0
    chosen = random.Random(1)
    for number in range(60_000):
        length = chosen.randint(50, 5_000)
        index.add(3 * number + chosen.randint(0, 2), offset, length)
        offset += length
    assert len(index.encode(0, len(index))) > MOST_ROOT_BYTES
    directories = index.directories()
    assert len(directories.root) <= MOST_ROOT_BYTES
    leaves = deserialize_directory(directories.root)
    assert len(leaves) == 15
    read = []
    for leaf in leaves:
        assert leaf.run_length == 0
        entries = deserialize_directory(directories.leaves[leaf.offset : leaf.offset + leaf.length])
        assert entries[0].tile_id == leaf.tile_id
        read += [(entry.tile_id, entry.offset, entry.length) for entry in entries]
    assert read == list(zip(index.ids, index.offsets, index.lengths, strict=True))


def test_a_root_directory_of_many_leaves_has_fewer_and_longer_ones() -> None:
    index = TileIndex()
    for number in range(40_000):
        index.add(number * number, number * 3, 5 + number % 7)
    assert len(deserialize_directory(index.directories(70).root)) < 10


def test_the_header_says_where_everything_is() -> None:
    index = TileIndex()
    index.add(0, 0, 10)
    header = ArchiveHeader(
        index, Directories(b"root", b"leaves"), 10, 7, 1, 0, 8, (24.5, 60.0, 25.5, 60.5)
    )
    encoded = header.encode()
    assert len(encoded) == HEADER_BYTES + 4
    read = deserialize_header(encoded)
    assert (read["root_offset"], read["root_length"]) == (HEADER_BYTES, 4)
    assert (read["tile_data_offset"], read["tile_data_length"]) == (TILES_OFFSET, 10)
    assert (read["metadata_offset"], read["metadata_length"]) == (TILES_OFFSET + 10, 7)
    assert (read["leaf_directory_offset"], read["leaf_directory_length"]) == (TILES_OFFSET + 17, 6)
    assert (read["min_zoom"], read["max_zoom"], read["center_zoom"]) == (0, 8, 8)
    assert (read["min_lon_e7"], read["max_lat_e7"]) == (245_000_000, 605_000_000)
    assert (read["center_lon_e7"], read["center_lat_e7"]) == (250_000_000, 602_500_000)
    assert replace(header, bounds=WORLD).center_zoom == 0


def test_equal_contents_have_equal_bytes() -> None:
    assert compress(b"tile" * 100) == compress(b"tile" * 100)
    assert gzip.decompress(compress(b"tile" * 100)) == b"tile" * 100
