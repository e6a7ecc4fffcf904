"""How tests write: a service whose collections can be written to, and requests with the status they
expect.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import ClientResponse
from multidict import CIMultiDictProxy

from tests.conftest import Client, Service, execute

GEOJSON = "application/geo+json"
MERGE_PATCH = "application/merge-patch+json"
OURS = re.compile(
    rb"SELECT|INSERT|UPDATE |RETURNING|json_to_recordset|asyncpg|Traceback|::text"
)  # what no client may see
Answer = tuple[CIMultiDictProxy[str], Any]


def with_tables(sql: str) -> Any:
    """A fixture: the DSN of a fresh database with these tables."""

    @pytest.fixture
    def url(bare_database_url: str) -> str:
        execute(bare_database_url, sql)
        return bare_database_url

    return url


def writable(**options: Any) -> Any:
    """A fixture: the service of the module's fixture `url`, where everything can be written to."""

    @pytest.fixture
    async def client(service: Service, url: str) -> Client:
        return await service(url, writable=("*",), **options)

    return client


async def read(response: ClientResponse, status: int | None) -> Answer:
    """The headers and the JSON of a response; fails with the body when the status is another.

    None takes any but a 500.
    """
    body = await response.read()
    assert response.status == status or (status is None and response.status < 500), (
        response.status,
        body[:2000],
    )
    return response.headers, json.loads(body) if body else None


async def send(
    client: Client,
    method: str,
    path: str,
    body: Any = None,
    status: int | None = 200,
    *,
    kind: str = GEOJSON,
    **headers: str,
) -> Answer:
    """A request with a JSON body. Header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        named.setdefault("Content-Type", kind)
    text = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    async with client.request(method, f"/collections/{path}", data=text, headers=named) as response:
        return await read(response, status)


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    """A feature without an id."""
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def point(x: float = 25.0, y: float = 60.0) -> dict[str, Any]:
    """A point."""
    return {"type": "Point", "coordinates": [x, y]}


def place_of(headers: Mapping[str, str]) -> str:
    """The path of a feature that was made, as `send` takes it."""
    return headers["Location"].partition("/collections/")[2]


async def raw_feature(client: Client, path: str) -> bytes:
    """The text of a feature."""
    async with client.get(f"/collections/{path}") as response:
        assert response.status == 200
        return await response.read()


def raw_properties(text: bytes) -> bytes:
    """The text of the properties of a feature."""
    begin = text.index(b'"properties":') + len(b'"properties":')
    return text[begin : text.rindex(b',"links":')]


async def problem_of(
    client: Client, method: str, path: str, body: bytes | None, **headers: str
) -> dict[str, Any]:
    """The problem that a request ends with; it tells nothing of the inside."""
    async with client.request(
        method, f"/collections/{path}", data=body, headers=headers
    ) as response:
        text = await response.read()
        assert 400 <= response.status < 500, (response.status, text)
        assert response.content_type == "application/problem+json"
        assert not OURS.search(text), text
        found: dict[str, Any] = json.loads(text)
        assert found["status"] == response.status
        assert found["type"] == f"urn:geosvc:problem:{found['type'].rpartition(':')[2]}"
        return found
