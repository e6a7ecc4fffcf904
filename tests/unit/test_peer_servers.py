"""benchmarks/peer_servers.py: the files and paths of the peers."""

import string
from pathlib import Path

import pytest

from benchmarks.address import parse_address
from benchmarks.peer_servers import PEERS, WORKERS, Place

URL = "postgresql://geosvc@/bench?host=/run/bench&port=5433"


def place(folder: Path) -> Place:
    return Place(parse_address(URL), URL, 8123, folder)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("pygeoapi.yml", 'host: "/run/bench", port: 5433, dbname: "bench", user: "geosvc"'),
        ("mapserver.map", 'CONNECTION "host=/run/bench port=5433 dbname=bench user=geosvc"'),
        ("lighttpd.conf", f'"max-procs" => {WORKERS},'),
    ],
)
def test_a_template_is_filled(name: str, line: str, tmp_path: Path) -> None:
    text = place(tmp_path).fill(name, program="mapserv").read_text()
    assert line in text
    assert "$" not in text


@pytest.mark.parametrize("name", PEERS)
def test_paths_take_ids_and_queries(name: str) -> None:
    paths = PEERS[name].paths
    fields = [
        [field for _, field, _, _ in string.Formatter().parse(path) if field]
        for path in (paths.item, paths.buildings, paths.points)
    ]
    assert fields == [["id"], ["query"], ["query"]]
