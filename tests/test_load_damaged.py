"""Files that were damaged in any way are loaded, or refused in one line; never a stack, and nothing
is half-made.
"""

import gzip
import json
import random
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely

from geosvc.errors import StartError
from geosvc.sources import open_source
from tests.loading import exists, load
from tests.test_sources import POINT, collection, feature, whole, write_layer, written

ROUNDS = 60
ROWS = [
    {"n": 1, "t": "ä", "d": "2024-01-01", "o": {"a": [1.5]}},
    {"n": 2, "t": "b", "d": None, "o": None},
]
TABLE = 'n,t,d,wkt\n1,"ä ""x""",2024-01-01,POINT(1 2)\n2,b,,POINT(3 4)\n'
FIELDS = {
    "n": np.array([1, 2]),
    "t": np.array(["ä", "b"], dtype=object),
    "d": np.array(["2024-01-01"] * 2, "datetime64[D]"),
}
TOPOLOGY = '{"type":"Topology","objects":{"a":{"type":"Point","coordinates":[1,2],"properties":{"n":1}}},"arcs":[]}'
KML = (
    '<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark><name>x</name>'
    "<Point><coordinates>1,2</coordinates></Point></Placemark></Document></kml>"
)


def layer(driver: str) -> Callable[[Path], None]:
    """Writes a layer of two points."""

    def write(path: Path) -> None:
        write_layer(
            path,
            [shapely.Point(1, 2), shapely.Point(3, 4)],
            FIELDS,
            driver=driver,
            geometry_type="Point",
        )

    return write


def text(content: str | bytes) -> Callable[[Path], None]:
    """Writes a file."""

    def write(path: Path) -> None:
        written(path, content)

    return write


def archive(path: Path) -> None:
    """Writes a zip with a folder."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("folder/a.geojson", collection(*map(feature, ROWS)))


GEOJSON = collection(*map(feature, ROWS), crs={"type": "name", "properties": {"name": "EPSG:4326"}})
FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "geojson": ("a.geojson", text(GEOJSON)),
    "feature": ("a.json", text(json.dumps(feature(ROWS[0]), indent=1))),
    "geometry": ("a.json", text(json.dumps(POINT, indent=1))),
    "lines": ("a.geojsonl", text("".join(json.dumps(feature(row)) + "\n" for row in ROWS))),
    "records": ("a.geojsons", text("".join(f"\x1e{json.dumps(feature(row))}\n" for row in ROWS))),
    "compressed": ("a.geojson.gz", text(gzip.compress(GEOJSON.encode(), mtime=0))),
    "csv": ("a.csv", text(TABLE)),
    "tsv": ("a.tsv", text(TABLE.replace(",", "\t"))),
    "utf-16": ("a.csv", text(TABLE.encode("utf-16"))),
    "coordinates": ("a.csv", text("n;lon;lat\n1;24.5;60\n2;25.5;60\n")),
    "zip": ("a.zip", archive),
    "gpkg": ("a.gpkg", layer("GPKG")),
    "fgb": ("a.fgb", layer("FlatGeobuf")),
    "shp": ("a.shp", layer("ESRI Shapefile")),
    "kml": ("a.kml", text(KML)),
    "gml": ("a.gml", layer("GML")),
    "topojson": ("a.json", text(TOPOLOGY)),
}


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A content with some of it changed, lost, doubled or added."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5))):
        begin = chance.randrange(len(changed) + 1)
        end = min(len(changed), begin + chance.choice((1, 2, 10, len(changed))))
        match chance.randrange(6):
            case 0:
                del changed[begin:end]
            case 1:
                changed[begin:begin] = changed[begin:end]
            case 2:
                changed[begin:begin] = chance.choice(
                    (b'"', b",", b"{", b"]", b"\0", b"\xff\xfe", b"\n", b"1e999", b"NaN", b"null")
                )
            case 3:
                changed[begin : begin + 4] = chance.randbytes(4)
            case 4:
                changed[begin:] = b""
            case _ if begin < len(changed):
                changed[begin] ^= 1 << chance.randrange(8)
    return bytes(changed)


def read(path: Path) -> str | None:
    """Reads a file as a load does.

    Returns: what is wrong with it, in one line; None: nothing is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what GDAL and numpy find in what is damaged
            source = open_source(path)
            whole(source)
    except StartError as error:
        return str(error)
    assert all("\n" not in note for note in source.notes)
    return None


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_loaded_or_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    name, write = FILES[kind]
    chance = random.Random(kind)
    (tmp_path / "whole").mkdir()
    write(tmp_path / "whole" / name)
    assert read(tmp_path / "whole" / name) is None
    parts = sorted(path for path in (tmp_path / "whole").iterdir())
    refused = 0
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", folder)
        part = folder / chance.choice(parts).name
        part.write_bytes(damaged(part.read_bytes(), chance))
        said = read(folder / name)
        if said is not None:
            assert said.startswith(("a.", "this kind")), said
            assert "\n" not in said, said
            assert len(said) < 1000
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("kind", ["geojson", "csv", "fgb", "shp", "zip", "gml", "kml"])
def test_of_a_damaged_file_nothing_is_half_made(
    bare_database_url: str, tmp_path: Path, kind: str
) -> None:
    name, write = FILES[kind]
    write(tmp_path / name)
    load(bare_database_url, tmp_path / name, "--collection", "good")
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    load(bare_database_url, tmp_path / name, status=1)
    assert not exists(bare_database_url)
    load(bare_database_url, tmp_path / name, "--collection", "good", "--replace", status=1)
    assert exists(bare_database_url, "good")
