"""How tests ask: by path or absolute link, with the status they expect."""

import json
from typing import Any

from aiohttp import ClientTimeout
from yarl import URL

from tests.conftest import Client

PATIENCE_SECONDS = 10


async def fetch(client: Client, path: str, status: int = 200, **options: Any) -> Any:
    """The JSON of a GET; fails with the body when the status is another."""
    url = URL(path, encoded=True)
    timeout = ClientTimeout(PATIENCE_SECONDS)
    async with client.get(
        url.relative() if url.absolute else url, timeout=timeout, **options
    ) as response:
        body = await response.read()
        assert response.status == status, body
        return json.loads(body)
