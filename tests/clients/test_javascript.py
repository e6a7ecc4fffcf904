"""@camptocamp/ogc-client and OpenLayers, in node: scripts of a few lines whose JSON is compared
with the tables.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest

from tests.clients.tables import query
from tests.conftest import _cloning, execute
from tests.processes import Running, serving, unexpected

FOLDER = Path(__file__).parent
INSTALL = FOLDER.parent.parent / "scripts" / "clients"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
POINTS = """
CREATE TABLE utm (id integer PRIMARY KEY, name text, geom geometry(Point, 25832));
INSERT INTO utm SELECT n, 'p' || n, ST_SetSRID(ST_MakePoint(390000 + n % 50 * 1000.1234, 5490000 + n * 50.4321), 25832)
FROM generate_series(1, 900) n;
ANALYZE;
"""


@pytest.fixture(scope="session")
def installed() -> None:
    """The clients, as the lock file has them."""
    done = subprocess.run([str(INSTALL)], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr


def run(script: str, url: str) -> Any:
    """What a script prints."""
    command = ["node", str(FOLDER / script), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def read(installed: None, sample_process: Running) -> dict[str, Any]:
    """All that ogc-client reads of the sample data."""
    found: dict[str, Any] = run("ogc_client.mjs", sample_process.url)
    return found


@pytest.fixture(scope="module")
def points_url(server_url: str, bare_template: str) -> Iterator[str]:
    with _cloning(server_url) as make:
        url = make(bare_template)
        execute(url, POINTS)
        yield url


@pytest.fixture(scope="module")
def shown(installed: None, points_url: str) -> Iterator[dict[str, Any]]:
    """All that OpenLayers reads of points in UTM."""
    with serving(points_url) as running:
        yield run("openlayers.mjs", running.url)
        assert not unexpected(running)


def fetch_text(url: str) -> tuple[str, str]:
    """Media type and text."""
    with urlopen(url, timeout=20) as response:
        return response.headers.get_content_type(), response.read().decode()


def ids(features: list[dict[str, Any]]) -> list[Any]:
    return [each["id"] for each in features]


def column(url: str, sql: str) -> list[Any]:
    return [row[0] for row in query(url, sql)]


def test_ogc_client_knows_what_the_service_is(read: dict[str, Any]) -> None:
    assert read["info"]["title"] == "geosvc"
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in read["conformance"]
    assert (read["hasFeatures"], read["hasRecords"]) == (True, False)


def test_ogc_client_finds_the_collections_also_from_an_address_below(
    read: dict[str, Any], sample_url: str
) -> None:
    names = column(sample_url, "SELECT f_table_name FROM geometry_columns ORDER BY 1")
    assert read["featureCollections"] == names
    assert [each["name"] for each in read["collections"]] == names
    assert read["nested"] == ["countries"]


def test_ogc_client_describes_a_collection(read: dict[str, Any], sample_url: str) -> None:
    countries = read["countries"]
    columns = column(
        sample_url,
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = 'countries'::regclass AND attnum > 0 AND attname <> 'geom' ORDER BY"
        " attnum",
    )
    assert [each["name"] for each in countries["queryables"] if each["name"] != "geom"] == columns
    assert [each["name"] for each in countries["sortables"]] == columns
    assert countries["storageCrs"] == CRS84
    assert countries["crs"][0] == CRS84
    assert set(countries["itemFormats"]) >= {
        "application/geo+json",
        "text/csv",
        "application/geo+json-seq",
    }
    kind, text = fetch_text(countries["jsonDownloadLink"])
    assert kind == "application/geo+json"
    assert len(json.loads(text)["features"]) == 241


def test_ogc_client_pages_sorts_and_chooses(read: dict[str, Any], sample_url: str) -> None:
    assert ids(read["first"]) == column(
        sample_url, "SELECT adm0_a3 FROM countries ORDER BY 1 LIMIT 3"
    )
    later = query(
        sample_url,
        "SELECT adm0_a3, name, pop_est FROM countries ORDER BY pop_est DESC, 1 LIMIT 3 OFFSET 100",
    )
    assert ids(read["later"]) == [row["adm0_a3"] for row in later]
    assert [each["properties"] for each in read["later"]] == [
        {"name": row["name"], "pop_est": row["pop_est"]} for row in later
    ]
    assert [each["geometry"] for each in read["later"]] == [None] * 3


def test_ogc_client_filters_by_box_time_and_value(read: dict[str, Any], sample_url: str) -> None:
    box = "ST_Intersects(geom, ST_MakeEnvelope(5, 45, 12, 52, 4326))"
    boxed = column(sample_url, f"SELECT adm0_a3 FROM countries WHERE {box} ORDER BY name")
    assert ids(read["boxed"]) == boxed
    assert ids(read["edited"]) == column(
        sample_url,
        "SELECT osm_id FROM streets WHERE edited >= '2018-01-01Z' AND edited <= '2018-12-31"
        " 23:59:59Z' ORDER BY 1",
    )
    assert ids(read["filtered"]) == column(
        sample_url, "SELECT adm0_a3 FROM countries WHERE continent = 'Oceania' ORDER BY 1 LIMIT 10"
    )


def test_ogc_client_reads_one_feature(read: dict[str, Any], sample_url: str) -> None:
    (row,) = query(
        sample_url, "SELECT name, ST_NPoints(geom) AS points FROM countries WHERE adm0_a3 = 'FIN'"
    )
    assert read["item"]["properties"]["name"] == row["name"]
    assert (
        sum(len(ring) for part in read["item"]["geometry"]["coordinates"] for ring in part)
        == row["points"]
    )


def test_ogc_client_makes_addresses_of_downloads_that_work(read: dict[str, Any]) -> None:
    kind, text = fetch_text(read["csv"])
    assert kind == "text/csv"
    assert len(text.splitlines()) == 3
    kind, text = fetch_text(read["sequence"])
    assert kind == "application/geo+json-seq"
    assert len([each for each in text.split("\x1e") if each]) == 2
    kind, text = fetch_text(read["projected"])
    assert kind == "application/geo+json"
    assert abs(json.loads(text)["features"][0]["geometry"]["coordinates"][0][0][0][0]) > 180


@pytest.mark.parametrize(("name", "srid"), [("mercator", 3857), ("utm", 25832)])
def test_openlayers_reads_what_the_service_projects(
    shown: dict[str, Any], points_url: str, name: str, srid: int
) -> None:
    assert shown[name]["crs"] == f"<http://www.opengis.net/def/crs/EPSG/0/{srid}>"
    wanted = query(
        points_url,
        f"SELECT id, ST_X(g) AS x, ST_Y(g) AS y FROM utm, ST_Transform(geom, {srid}) g ORDER BY id",
    )
    assert len(shown[name]["features"]) == len(wanted) == 900
    for (key, position), row in zip(shown[name]["features"], wanted, strict=True):
        assert key == row["id"]
        assert position == pytest.approx([row["x"], row["y"]], abs=1e-4)


def test_openlayers_projects_longitudes_and_latitudes_itself(
    shown: dict[str, Any], points_url: str
) -> None:
    assert shown["projectedHere"]["crs"] == f"<{CRS84}>"
    wanted = query(points_url, "SELECT id, ST_X(geom) AS x, ST_Y(geom) AS y FROM utm ORDER BY id")
    for (key, position), row in zip(shown["projectedHere"]["features"], wanted, strict=True):
        assert key == row["id"]
        assert position == pytest.approx([row["x"], row["y"]], abs=0.02)  # seven digits of a degree


def test_openlayers_loads_what_a_map_in_metres_shows(
    shown: dict[str, Any], points_url: str
) -> None:
    every = set()
    for page in shown["shown"]["pages"]:
        xmin, ymin, xmax, ymax = page["extent"]
        shown_box = f"ST_MakeEnvelope({xmin}, {ymin}, {xmax}, {ymax}, 3857)"
        wanted = column(
            points_url,
            f"SELECT id FROM utm WHERE ST_Intersects(ST_Transform(geom, 3857), {shown_box})",
        )
        assert sorted(page["ids"]) == sorted(wanted) != []
        every |= set(wanted)
    assert {key for key, _ in shown["shown"]["all"]} == every
    assert all(name == f"p{key}" for key, name in shown["shown"]["all"])
    boxes = [parse_qs(urlsplit(url).query) for url in shown["asked"] if "bbox=" in url]
    assert [box["bbox-crs"] for box in boxes] == [
        ["http://www.opengis.net/def/crs/EPSG/0/3857"]
    ] * 2
