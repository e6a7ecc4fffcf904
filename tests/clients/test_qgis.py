"""QGIS's provider OAPIF, by PyQGIS without a screen.

Skipped where it is not installed: it takes a gigabyte of disk.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.tables import Feature, differences, query, read_table, shape
from tests.processes import Running, serving, unexpected

SCRIPT = Path(__file__).parent / "qgis_layers.py"
PYTHON = Path("/usr/bin/python3")  # Debian's, which python3-qgis is for
DEGREES = 0.51e-7
WHOLE = ("countries", "buildings", "streets")
BOX = "24,60,25.5,60.5"

pytestmark = pytest.mark.skipif(
    not (PYTHON.exists() and Path("/usr/lib/python3/dist-packages/qgis").is_dir()),
    reason="PyQGIS is not installed: apt-get install --no-install-recommends python3-qgis",
)


@pytest.fixture(scope="module")
def service(sample_url: str) -> Iterator[Running]:
    with serving(sample_url, access_log="true") as running:
        yield running
        assert not unexpected(running)


@pytest.fixture(scope="module")
def layers(service: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All that QGIS reads."""
    home = str(tmp_path_factory.mktemp("qgis"))
    environment = {
        "QT_QPA_PLATFORM": "offscreen",
        "HOME": home,
        "XDG_RUNTIME_DIR": home,
        "PATH": os.environ["PATH"],
    }
    command = [str(PYTHON), str(SCRIPT), service.url, *WHOLE, f"cities:{BOX}"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=55, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["layers"]
    return found


def features_of(layer: dict[str, Any]) -> list[Feature]:
    return [
        (each["properties"], shape(bytes.fromhex(each["wkb"]) or None))
        for each in layer["features"]
    ]


@pytest.mark.parametrize("name", WHOLE)
def test_qgis_reads_every_feature_as_it_is(
    layers: dict[str, Any], sample_url: str, name: str
) -> None:
    layer = layers[name]
    assert layer["valid"]
    assert layer["crs"] == "EPSG:4326"
    assert differences(features_of(layer), read_table(sample_url, name), DEGREES) == []


def test_qgis_counts_by_number_matched(layers: dict[str, Any]) -> None:
    assert layers["countries"]["count"] == 241


def test_qgis_reads_what_is_in_a_box(layers: dict[str, Any], sample_url: str) -> None:
    layer = layers[f"cities:{BOX}"]
    inside = f"ST_Intersects(geom, ST_MakeEnvelope({BOX}, 4326))"
    assert (
        query(sample_url, f"SELECT count(*) FROM cities WHERE {inside}")[0]["count"]
        == len(layer["features"])
        > 5
    )
    assert (
        differences(features_of(layer), read_table(sample_url, "cities", where=inside), DEGREES)
        == []
    )


def test_qgis_is_refused_nothing(service: Running, layers: dict[str, Any]) -> None:
    assert layers
    service.stop()
    answered = [line["status"] for line in service.log if line.get("event") == "request"]
    assert len(answered) > 20
    assert set(answered) <= {200, 304}  # it asks again with the ETag
