"""The predicates of the CQL2 abstract test suite on its data, in text and in JSON, with how many
features each selects.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from geosvc.cli import main
from geosvc.cql2.text import parse_text
from tests.conftest import Client, Service, execute, with_database
from tests.cql2_writing import CAPS, KeptGeometries, to_json
from tests.databases import make_template

SHARED = (
    Path(
        os.environ.get(
            "GEOSVC_SHARED_DATA", Path(__file__).parent.parent.parent / "shared" / "data"
        )
    )
    / "cql2"
)
TABLES = (
    "ne_110m_admin_0_countries",
    "ne_110m_populated_places_simple",
    "ne_110m_rivers_lake_centerlines",
)


def assertions() -> Iterator[tuple[str, str, int]]:
    """(collection, predicate, features)."""
    path = SHARED / "assertions.tsv"
    if not path.exists():
        return
    for line in path.read_text("utf-8").splitlines()[1:]:
        collection, predicate, number, _ = line.split("\t")
        yield collection, predicate, int(number)


ASSERTIONS = list(assertions())


@pytest.fixture(scope="module")
def cql2_url(server_url: str) -> str:
    """The suite's data, as `geosvc load` makes tables of them."""
    if not ASSERTIONS:
        pytest.skip("the suite's data are not there: set GEOSVC_SHARED_DATA")
    url = with_database(server_url, make_template(server_url, "geosvc_cql2"))
    for table in TABLES:
        arguments = [
            str(SHARED / "ne110m4cql2.gpkg"),
            "--layer",
            table,
            "--collection",
            table,
            "--create",
            "--database-url",
            url,
        ]
        result = CliRunner().invoke(main, ["load", *arguments])
        assert result.exit_code == 0, result.output
    execute(url, "ANALYZE")
    return url


async def number_matched(client: Client, collection: str, **query: str) -> object:
    response = await client.get(
        f"/collections/{collection}/items", params={"limit": "1", "count": "exact", **query}
    )
    body = await response.json(content_type=None)
    assert response.status == 200, body
    return body["numberMatched"]


async def test_every_assertion_holds_in_text_and_in_json(service: Service, cql2_url: str) -> None:
    client = await service(cql2_url)
    wrong = []
    for collection, predicate, expected in ASSERTIONS:
        tree = parse_text(predicate, CAPS, KeptGeometries())
        written = json.dumps(to_json(tree))
        found = await number_matched(client, collection, filter=predicate)
        in_json = await number_matched(
            client, collection, filter=written, **{"filter-lang": "cql2-json"}
        )
        if not found == in_json == expected:
            wrong.append((collection, predicate, expected, found, in_json))
    assert not wrong
    assert len(ASSERTIONS) > 150
