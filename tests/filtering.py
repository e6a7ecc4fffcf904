"""How tests ask a service with filters."""

import io
import json
from typing import Any

from tests.conftest import Client


async def answer(client: Client, collection: str, filter_: str, **query: str) -> tuple[int, Any]:
    """The status and the JSON of a GET of items with a filter."""
    params = {"limit": "10000", "skipGeometry": "true", "filter": filter_, **query}
    async with client.get(f"/collections/{collection}/items", params=params) as response:
        return response.status, json.loads(await response.read())


async def selected(client: Client, collection: str, filter_: str, **query: str) -> set[Any]:
    """The ids that a filter selects; fails where it is refused."""
    status, body = await answer(client, collection, filter_, **query)
    assert status == 200, (filter_[:200], body)
    return {feature["id"] for feature in body["features"]}


async def in_json(client: Client, collection: str, filter_: Any, **query: str) -> set[Any]:
    """The ids that a filter in JSON selects."""
    return await selected(
        client, collection, json.dumps(filter_), **{"filter-lang": "cql2-json"}, **query
    )


async def refusal(client: Client, collection: str, filter_: str, **query: str) -> str:
    """What is said of a filter that cannot be."""
    status, body = await answer(client, collection, filter_, **query)
    assert status == 400, (status, filter_[:200], body)
    return str(body["detail"])


async def search(client: Client, collection: str, **body: Any) -> tuple[int, Any]:
    """The status and the JSON of a search."""
    wanted = {"skipGeometry": True, "limit": 10_000, **body}
    data = io.BytesIO(json.dumps(wanted).encode())
    headers = {"Content-Type": "application/json"}
    async with client.post(
        f"/collections/{collection}/search", data=data, headers=headers
    ) as response:
        return response.status, json.loads(await response.read())


async def found(client: Client, collection: str, **body: Any) -> set[Any]:
    """The ids that a search finds."""
    status, page = await search(client, collection, **body)
    assert status == 200, page
    return {feature["id"] for feature in page["features"]}
