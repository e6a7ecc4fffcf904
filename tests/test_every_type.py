"""No value of any type fails a page, breaks its JSON, or takes other values with it
(docs/decisions/0027).
"""

import asyncio
import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from geosvc.database.migrations import migrate_up
from geosvc.settings import load_settings
from tests.conftest import FIXTURES, Client, Service
from tests.databases import make_template, with_database
from tests.events import subscribed
from tests.live import connected, publish_now

TABLES = [f"every_type_{number}" for number in range(8)] + ["every_raster"]


@pytest.fixture(scope="module")
def every_type_template(server_url: str) -> str:
    """A database with a column of every type."""
    return make_template(
        server_url, "geosvc_every_type", (FIXTURES / "every_type.sql").read_text("utf-8")
    )


@pytest.fixture(scope="module")
def every_type_url(server_url: str, every_type_template: str) -> str:
    """The same for tests that only read."""
    return with_database(server_url, every_type_template)


@pytest.fixture
async def client(service: Service, every_type_url: str) -> Client:
    """Its service, which streams no page of these."""
    return await service(every_type_url, limit_max=1000)


def refuse(constant: str) -> Any:
    """What `NaN` and `Infinity` in JSON are."""
    raise AssertionError(f"{constant} is no JSON")


def strict(text: bytes | str) -> Any:
    """JSON as RFC 8259 has it; numbers as text, so that no digit is lost."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    return json.loads(text, parse_constant=refuse, parse_float=str, parse_int=str)


async def ask(client: Client, path: str, **options: Any) -> bytes:
    """The body of an answer that must be 200."""
    async with client.request(options.pop("method", "GET"), path, **options) as response:
        body = await response.read()
        assert response.status == 200, (path, body[:500])
        return body


async def rows_of(url: str, table: str) -> dict[str, dict[str, tuple[bool, str | None]]]:
    """By id and column: whether there is a value, and what PostgreSQL writes it as, if it can."""
    async with connected(url) as connection:
        await connection.execute(
            "SET timezone = 'UTC'; SET intervalstyle = iso_8601; SET datestyle = ISO"
        )
        kinds = await connection.fetch(
            "SELECT attname, atttypid::regtype::text AS kind FROM pg_attribute WHERE attrelid ="
            " $1::regclass AND attnum > 0",
            table,
        )
        found: dict[str, dict[str, tuple[bool, str | None]]] = {}
        for name, _ in kinds:
            quoted = '"' + name.replace('"', '""') + '"'
            for row in await connection.fetch(
                f"SELECT id::text, num_nulls({quoted}) = 0 AS there, json_of({quoted}) AS json"
                f" FROM {table}"
            ):
                found.setdefault(row["id"], {})[name] = (row["there"], row["json"])
        return found


async def test_every_value_that_postgresql_can_write_is_there(
    client: Client, every_type_url: str
) -> None:
    for table in TABLES:
        page = strict(await ask(client, f"/collections/{table}/items?limit=1000"))
        expected = await rows_of(every_type_url, table)
        assert [feature["id"] for feature in page["features"]] == sorted(expected, key=int)
        for feature in page["features"]:
            for name, value in feature["properties"].items():
                there, text = expected[feature["id"]][name]
                if not there:
                    assert value is None
                elif text is not None and name != "bytea":
                    assert value == strict(text), (feature["id"], name)


async def test_every_way_of_reading_gives_every_row(client: Client, every_type_url: str) -> None:
    for table in TABLES:
        path = f"/collections/{table}"
        page = strict(await ask(client, f"{path}/items?limit=1000"))
        features = page["features"]
        by_id = {feature["id"]: feature["properties"] for feature in features}
        in_pages = []
        for start in range(0, len(features), 50):
            in_pages += strict(await ask(client, f"{path}/items?limit=50&offset={start}"))[
                "features"
            ]
        assert in_pages == features
        assert strict(await ask(client, f"{path}/export"))["features"] == features
        assert (
            strict(await ask(client, f"{path}/search", method="POST", json={"limit": 1000}))[
                "features"
            ]
            == features
        )
        for query in ("items?limit=1000&f=geojsonseq", "export?f=geojsonseq"):
            records = (await ask(client, f"{path}/{query}")).split(b"\x1e")[1:]
            assert [strict(record) for record in records] == features
        for each in await asyncio.gather(*(ask(client, f"{path}/items/{one}") for one in by_id)):
            found = strict(each)
            assert found["properties"] == by_id[found["id"]]


async def test_every_value_has_a_cell_in_csv(client: Client, every_type_url: str) -> None:
    for table in TABLES:
        expected = await rows_of(every_type_url, table)
        for query in (
            "items?limit=1000&f=csv",
            "export?f=csv",
            "items?limit=1000&f=csv&skipGeometry=true",
        ):
            text = (await ask(client, f"/collections/{table}/{query}")).decode()
            head, *lines = csv.reader(io.StringIO(text, newline=""))
            assert len(lines) == len(expected)
            for line in lines:
                assert len(line) == len(head)
                cells = dict(zip(head, line, strict=True))
                for name, (there, _) in expected[cells["id"]].items():
                    assert there or not cells.get(name)


async def test_every_document_and_page_of_a_collection_is_answered(client: Client) -> None:
    for table in TABLES:
        path = f"/collections/{table}"
        for query in (
            "",
            "/schema",
            "/schema/feature",
            "/queryables",
            "/sortables",
            "?extent=exact",
        ):
            strict(await ask(client, path + query))
            await ask(client, path + query, headers={"Accept": "text/html"})
        strict(await ask(client, "/api"))
        for query in ("items", "items?limit=200", "items/1"):
            assert b"</html>" in await ask(
                client, f"{path}/{query}", headers={"Accept": "text/html"}
            )


async def test_only_what_nothing_can_write_is_null(client: Client) -> None:
    """Around a bad geometry, and around a cast that raises, a value is as it would be."""
    found: dict[str, list[Any]] = {}
    for table in TABLES[:-1]:
        for feature in strict(await ask(client, f"/collections/{table}/items?limit=1000"))[
            "features"
        ]:
            for name, value in feature["properties"].items():
                found.setdefault(name, []).append(value)
    curves = [
        each
        for each in found["geometry_dump"]
        if each and each["geom"] and each["geom"]["type"] == "LineString"
    ]
    assert len(curves) == 1
    assert curves[0]["path"] == ["1"]
    assert len(curves[0]["geom"]["coordinates"]) > 10
    assert {"path": ["1"], "geom": None} in found["geometry_dump"]
    assert [{"type": "Point", "coordinates": ["0", "0"]}, None, None] in found["points"]
    assert {"valid": "false", "reason": "self-crossing", "location": None} not in found[
        "valid_detail"
    ]
    assert {"valid": False, "reason": "self-crossing", "location": None} in found["valid_detail"]
    of_fussy = {"fussy": True}
    assert {"fussy": None, "mood": "ok", "more": [None, of_fussy, None], "ratio": None} in found[
        "bag"
    ]
    assert {"fussy": of_fussy, "mood": "ok", "more": [of_fussy], "ratio": "1"} in found["bag"]
    assert [each for each in found["fussy"] if each is not None] == [of_fussy]
    assert {each for each in found["ratio"] if each is not None} <= {"1", "0", "-1"}
    assert all(each is None for each in found["lost"])
    trip = next(each for each in found["trip"] if each and each["spots"])
    assert [spot["at"] and spot["at"]["type"] for spot in trip["spots"]] == [None, "Point"]
    assert trip['by "car"'] is None
    assert trip["share"] == "NaN"


@pytest.fixture
def published_url(clone: Callable[[str], str], every_type_template: str) -> str:
    """The tables, published."""
    url = clone(every_type_template)
    migrate_up(load_settings(database_url=url), url)
    for table in TABLES[:-1]:
        publish_now(url, table)
    return url


async def test_every_change_is_told_as_json(service: Service, published_url: str) -> None:
    client = await service(published_url, limit_max=1000)
    for table in TABLES[:-1]:
        page = strict(await ask(client, f"/collections/{table}/items?limit=1000"))["features"]
        async with (
            subscribed(client, f"/collections/{table}/changes") as stream,
            connected(published_url) as writer,
        ):
            await writer.execute(f"UPDATE {table} SET at = ST_Translate(at, 0, 1)")
            events = await stream.wait(len(page))
        assert {each.name for each in events} == {"update"}, table
        assert sorted(strict(each.text)["id"] for each in events) == sorted(
            each["id"] for each in page
        )
