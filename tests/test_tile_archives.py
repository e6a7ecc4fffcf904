"""`geosvc tiles`: PMTiles archives, compared with what the service answers, and read by others."""

import asyncio
import gzip
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pyogrio
import pytest
import shapely
from click.testing import CliRunner, Result
from pmtiles.reader import MemorySource, Reader, all_tiles
from rich.progress import Progress

from geosvc.cli import main
from geosvc.commands.new_file import new_file
from geosvc.commands.tile_archive import ArchiveOptions, Archiving
from geosvc.database.pool import Database
from geosvc.database.reads.snapshot_reader import open_snapshot
from geosvc.errors import RequestError, StartError
from geosvc.sql.compose import SQL, compose
from tests.conftest import Client, Service, execute, settings_for
from tests.processes import PATIENCE_SECONDS

Address = tuple[int, int, int]
"""(zoom, column, row)"""

HELD = 4711  # the lock on which the tests hold a command


def tiles(url: str, *arguments: str | Path, status: int = 0) -> Result:
    """Runs the command."""
    result = CliRunner().invoke(main, ["tiles", *map(str, arguments), "--database-url", url])
    assert result.exit_code == status, result.output
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


async def execute_aside(url: str, sql: str) -> None:
    """Runs SQL beside the loop of a test."""
    await asyncio.to_thread(execute, url, sql)


async def tiles_aside(url: str, *arguments: str | Path, status: int = 0) -> Result:
    """Runs the command beside the loop of a test."""
    return await asyncio.to_thread(tiles, url, *arguments, status=status)


def stored_tiles(path: Path) -> dict[Address, bytes]:
    """The tiles of an archive, inflated."""
    source = MemorySource(path.read_bytes())
    return {address: gzip.decompress(content) for address, content in all_tiles(source)}


def reader_of(path: Path) -> Reader:
    """Reads an archive."""
    return Reader(MemorySource(path.read_bytes()))


def addresses(least: int, most: int) -> list[Address]:
    """All tiles of some zooms."""
    found = []
    for zoom in range(least, most + 1):
        found += [(zoom, column, row) for column in range(2**zoom) for row in range(2**zoom)]
    return found


async def compare(
    client: Client,
    collection: str,
    stored: dict[Address, bytes],
    compared: Iterable[Address],
    parameters: dict[str, str] | None = None,
) -> int:
    """Each tile is what the service answers, and one that is missing is 204. Returns: how many are
    stored.
    """
    places = asyncio.Semaphore(4)
    path = f"/collections/{collection}/tiles/WebMercatorQuad"

    async def look(address: Address) -> bool:
        zoom, column, row = address
        async with (
            places,
            client.get(f"{path}/{zoom}/{row}/{column}", params=parameters or {}) as response,
        ):
            body = await response.read()
        assert response.status == (200 if address in stored else 204), (address, response.status)
        assert body == stored.get(address, b""), address
        return bool(body)

    return sum(await asyncio.gather(*map(look, compared)))


@pytest.mark.parametrize(("collection", "most"), [("countries", 5), ("cities", 6)])
async def test_every_tile_is_what_the_service_answers(
    sample: Client, sample_url: str, tmp_path: Path, collection: str, most: int
) -> None:
    path = tmp_path / "all.pmtiles"
    told = await tiles_aside(sample_url, collection, "-o", path, "--zoom", f"0-{most}")
    stored = stored_tiles(path)
    assert f"{len(stored)} tiles of {collection} into {path}" in told.output
    assert await compare(sample, collection, stored, addresses(0, most)) == len(stored) > 100
    header = reader_of(path).header()
    assert (header["min_zoom"], header["max_zoom"]) == (0, most)
    assert header["clustered"] is True
    assert header["addressed_tiles_count"] == len(stored)
    assert header["tile_contents_count"] == len(set(stored.values()))


async def test_deep_tiles_of_some_features_are_what_the_service_answers(
    sample: Client, sample_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "some.pmtiles"
    parameters = {"filter": "name LIKE 'F%' AND name <> 'France'", "properties": "name"}
    options = ("--filter", parameters["filter"], "--properties", "name", "--zoom", "5-8")
    await tiles_aside(sample_url, "countries", "-o", path, *options)
    stored = stored_tiles(path)
    assert {zoom for zoom, _, _ in stored} == {5, 6, 7, 8}
    near = {
        (zoom, (column + right) % 2**zoom, min(max(row + down, 0), 2**zoom - 1))
        for zoom, column, row in stored
        for right in (-1, 0, 1)
        for down in (-1, 0, 1)
    }
    chosen = random.Random(1).sample(addresses(5, 8), 500)
    found = await compare(sample, "countries", stored, near | {*chosen}, parameters)
    assert found == len(stored) > 100
    (layer,) = reader_of(path).metadata()["vector_layers"]
    assert layer["fields"] == {"name": "String"}
    assert (layer["minzoom"], layer["maxzoom"]) == (5, 8)


SMALL = """
CREATE TABLE {table} (id integer PRIMARY KEY, geom {kind});
INSERT INTO {table} SELECT n, ST_Transform(ST_Buffer(ST_Point(25 + n, 60 + n / 10.0, 4326)::geography, 2)::geometry,
  {srid}) FROM generate_series(1, 3) n;
CREATE INDEX ON {table} USING gist (geom);
"""
KINDS = {
    "degrees": ("geometry(Polygon, 4326)", 4326),
    "mercator": ("geometry(Polygon, 3857)", 3857),
    "finland": ("geometry(Polygon, 3067)", 3067),
}


async def test_features_too_small_for_a_zoom_are_in_the_tiles_below_it(
    service: Service, bare_database_url: str, tmp_path: Path
) -> None:
    for table, (kind, srid) in KINDS.items():
        await execute_aside(bare_database_url, SMALL.format(table=table, kind=kind, srid=srid))
    client = await service(bare_database_url)
    for table in KINDS:
        path = tmp_path / f"{table}.pmtiles"
        await tiles_aside(bare_database_url, table, "-o", path, "--zoom", "0-16")
        stored = stored_tiles(path)
        deepest = {(column, row) for zoom, column, row in stored if zoom == 16}
        assert len(deepest) >= 3
        above = {
            (zoom, column >> (16 - zoom), row >> (16 - zoom))
            for column, row in deepest
            for zoom in range(17)
        }
        await compare(client, table, stored, above | stored.keys())


PLACES = """
CREATE TABLE places (id integer PRIMARY KEY, name text, geom geometry(Point, 4326));
INSERT INTO places SELECT n, 'place ' || n, ST_Point(n * 1.5 % 360 - 180, n * 0.7 % 160 - 80, 4326)
  FROM generate_series(1, 500) n;
"""
EDITS = """
DELETE FROM places WHERE id % 3 = 0;
UPDATE places SET name = 'changed', geom = ST_Translate(geom, 0, 1) WHERE id % 3 = 1;
INSERT INTO places VALUES (1000, 'new', ST_Point(0, 0, 4326));
"""


async def test_edits_while_it_is_written_do_not_show(
    bare_database_url: str, tmp_path: Path
) -> None:
    url = bare_database_url
    await execute_aside(url, PLACES)
    before, during, after = (tmp_path / f"{name}.pmtiles" for name in ("before", "during", "after"))
    await tiles_aside(url, "places", "-o", before, "--zoom", "0-4")
    settings = settings_for(url, pool_max_size=3, pool_min_size=0)
    options = ArchiveOptions("places", during, 0, 4, {})
    archiving = Archiving(settings, url, options, Progress(disable=True))
    database = Database(settings, url)
    await database.open()
    try:
        plan = await archiving.plan(database)
        async with open_snapshot(database, 2) as readers:
            await execute_aside(url, EDITS)
            await archiving.write(plan, readers)
    finally:
        await database.close()
    assert during.read_bytes() == before.read_bytes()
    await tiles_aside(url, "places", "-o", after, "--zoom", "0-4")
    assert stored_tiles(after) != stored_tiles(before)


async def test_a_reader_keeps_its_snapshot_after_a_statement_that_failed(
    bare_database_url: str,
) -> None:
    await execute_aside(bare_database_url, "CREATE TABLE numbers AS SELECT 1 AS n")
    settings = settings_for(bare_database_url)
    database = Database(settings, bare_database_url)
    count = compose("numbers.count", SQL("SELECT count(*) FROM numbers"))
    await database.open()
    try:
        async with open_snapshot(database, 2) as readers:
            await execute_aside(bare_database_url, "INSERT INTO numbers VALUES (2)")
            with pytest.raises(RequestError):
                await readers[0].fetch(
                    compose("numbers.failing", SQL("SELECT 1 / (n - 1) FROM numbers"))
                )
            assert [(await reader.fetch(count))[0][0] for reader in readers] == [1, 1]
        assert (await database.fetch(count))[0][0] == 2
    finally:
        await database.close()


async def test_a_geometry_that_postgis_refuses_costs_itself_alone_and_is_told(
    nasty: Client, nasty_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "nasty.pmtiles"
    told = await tiles_aside(nasty_url, "nasty_geometries", "-o", path, "--zoom", "0-3")
    assert " tiles lack features whose geometries PostGIS refuses: " in told.output
    stored = stored_tiles(path)
    found = await compare(nasty, "nasty_geometries", stored, addresses(0, 3))
    assert found == len(stored) > 10


def test_gdal_reads_an_archive(sample_url: str, tmp_path: Path) -> None:
    path = tmp_path / "cities.pmtiles"
    tiles(sample_url, "cities", "-o", path, "--zoom", "0-6", "--filter", "population > 1000000")
    assert [str(name) for name in pyogrio.list_layers(path)[:, 0]] == ["cities"]
    meta, _, geometries, values = pyogrio.raw.read(path, layer="cities")
    assert meta["crs"] == "EPSG:3857"
    fields = [str(field) for field in meta["fields"]]
    names = values[fields.index("name")]
    rows = asyncio.run(
        fetch_rows(
            sample_url,
            "SELECT name, ST_AsBinary(ST_Transform(geom, 3857)) FROM cities WHERE population > 1000000",
        )
    )
    assert set(names) == {row[0] for row in rows}
    found = shapely.from_wkb(geometries)
    unit = 40_075_016.7 / 2**6 / 4096
    for name, wkb in rows:
        place = shapely.from_wkb(wkb)
        assert min(shapely.distance(found[np.array(names) == name], place)) <= unit


async def fetch_rows(url: str, sql: str) -> list[Any]:
    """The rows of a query."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


def test_the_metadata_describe_the_layer_and_the_area(
    sample_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOSVC_LICENSE", "CC <BY> (https://example.org/by)")
    path = tmp_path / "finland.pmtiles"
    tiles(sample_url, "countries", "-o", path, "--zoom", "0-7", "--filter", "name = 'Finland'")
    reader = reader_of(path)
    metadata = reader.metadata()
    assert metadata["name"] == "countries"
    assert metadata["attribution"] == '<a href="https://example.org/by">CC &lt;BY&gt;</a>'
    (layer,) = metadata["vector_layers"]
    assert layer["id"] == "countries"
    assert layer["fields"]["name"] == "String"
    header = reader.header()
    west, south, east, north = (
        header[f"{side}_e7"] / 1e7 for side in ("min_lon", "min_lat", "max_lon", "max_lat")
    )
    assert 16 < west < 21
    assert 57 < south < 60
    assert 31 < east < 35
    assert 70 < north < 73
    assert west < header["center_lon_e7"] / 1e7 < east
    assert 2 <= header["center_zoom"] <= 5


def test_an_archive_that_is_there_is_replaced_only_with_force(
    sample_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "cities.pmtiles"
    path.write_text("mine")
    refused = tiles(sample_url, "cities", "-o", path, "--zoom", "0-1", status=1)
    assert f"geosvc: {path} exists: --force replaces it\n" in refused.output
    assert path.read_text() == "mine"
    tiles(sample_url, "cities", "-o", path, "--zoom", "0-1", "--force")
    assert reader_of(path).header()["max_zoom"] == 1
    again = tmp_path / "again.pmtiles"
    tiles(sample_url, "cities", "-o", again, "--zoom", "0-1", "--connections", "1")
    assert again.read_bytes() == path.read_bytes()
    assert {each.name for each in tmp_path.iterdir()} == {"cities.pmtiles", "again.pmtiles"}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["citie"], 1, "geosvc: collection 'citie' does not exist: did you mean cities?\n"),
        (
            ["cities", "--filter", "nam = 1"],
            1,
            "geosvc: --filter: at character 1: cities has no property 'nam'",
        ),
        (["cities", "--properties", "nam"], 1, "geosvc: properties: cities has no property 'nam'"),
        (
            ["cities", "--zoom", "3-30"],
            1,
            "geosvc: --zoom: WebMercatorQuad has the zooms 0 to 24\n",
        ),
        (["cities", "--zoom", "5-3"], 2, "takes two zooms, such as 0-14"),
        (["cities", "--zoom", "all"], 2, "takes two zooms, such as 0-14"),
        (
            ["cities", "--filter", "population < 0"],
            1,
            "geosvc: cities has no features in the zooms 0 to 14",
        ),
    ],
)
def test_what_cannot_be_written_is_told_and_leaves_nothing(
    sample_url: str, tmp_path: Path, arguments: list[str], status: int, said: str
) -> None:
    refused = tiles(sample_url, *arguments, "-o", tmp_path / "a.pmtiles", status=status)
    assert said in refused.output
    assert not list(tmp_path.iterdir())


def test_what_is_no_place_for_an_archive_is_told_before_the_database_is_asked(
    tmp_path: Path,
) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nowhere"
    folder = tmp_path / "folder.pmtiles"
    folder.mkdir()
    for path, said in (
        (tmp_path / "a.gpkg", f"{tmp_path}/a.gpkg is not named *.pmtiles"),
        (tmp_path / "b/a.pmtiles", f"the folder {tmp_path}/b does not exist"),
        (folder, f"{folder} is a folder"),
        (tmp_path / "a.pmtiles", "the database cannot be reached"),
    ):
        assert said in tiles(nowhere, "cities", "-o", path, status=1).output


HOLDING = f"""
CREATE TABLE places (id integer PRIMARY KEY, geom geometry(Point, 4326));
INSERT INTO places VALUES (1, 'SRID=4326;POINT(25 60)');
CREATE VIEW held AS SELECT places.* FROM places, pg_advisory_xact_lock_shared({HELD}) l;
"""
WAITING = f"SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = {HELD} AND NOT granted"


@contextmanager
def held_command(url: str, path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The command as a process that waits for a lock while it makes the first tile."""
    command = [sys.executable, "-m", "geosvc", "tiles", "held", "-o", str(path)]
    environment = {**os.environ, "GEOSVC_LOCK_TIMEOUT_SECONDS": "50"}
    with subprocess.Popen(
        [*command, "--database-url", url], env=environment, stderr=subprocess.PIPE
    ) as process:
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while not asyncio.run(fetch_rows(url, WAITING)):
            assert process.poll() is None
            assert time.monotonic() < ends_at
            time.sleep(0.02)
        yield process


@contextmanager
def holding(url: str) -> Iterator[None]:
    """Holds the lock."""

    async def connect() -> asyncpg.Connection:
        connection = await asyncpg.connect(url)
        await connection.execute(f"SELECT pg_advisory_lock({HELD})")
        return connection

    with asyncio.Runner() as runner:
        connection = runner.run(connect())
        yield
        runner.run(connection.close())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_killed_leaves_no_file(
    bare_database_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    execute(bare_database_url, HOLDING)
    path = tmp_path / "a.pmtiles"
    with holding(bare_database_url), held_command(bare_database_url, path) as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert not list(tmp_path.iterdir())
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        return
    assert process.returncode == 128 + number
    assert said == b"geosvc: stopped\n"


@pytest.mark.parametrize("has_names", [True, False])
def test_a_new_file_has_its_name_only_when_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_names: bool
) -> None:
    if has_names:  # a platform on which a file has a name from the beginning
        monkeypatch.delattr(os, "O_TMPFILE")
    path = tmp_path / "a"
    with new_file(path, replace=False) as stream:
        stream.write(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    with pytest.raises(StartError, match="exists"), new_file(path, replace=False):
        pass
    with new_file(path, replace=True) as stream:
        stream.write(b"second")
        assert path.read_bytes() == b"first"
    assert path.read_bytes() == b"second"
    late = tmp_path / "late"
    with pytest.raises(StartError, match="exists"), new_file(late, replace=False):
        late.write_text("by somebody else")
    assert late.read_text() == "by somebody else"
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "b", replace=False):
        raise ZeroDivisionError
    assert {each.name for each in tmp_path.iterdir()} == {"a", "late"}
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
