"""What is only a part of the answer says so, in every media type and by every way to ask."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from yarl import URL

from tests.conftest import Client, Service
from tests.http import fetch

ITEMS = "/collections/countries/items"
SEARCH = "/collections/countries/search"
POINT = {"type": "Point", "coordinates": [24.94, 60.17]}
MEDIA_TYPES = ("geojson", "geojsonseq", "csv")
MAXIMUM = 20


@pytest.fixture
async def small(service: Service, sample_url: str) -> Client:
    """The sample data in pages of 20 at the most."""
    return await service(sample_url, limit_max=MAXIMUM, limit_default=5)


def number_in(body: str, media_type: str) -> int:
    """Features of a body."""
    if media_type == "csv":
        return len(body.splitlines()) - 1
    return body.count('"type":"Feature"') + body.count('"type": "Feature"')


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
@pytest.mark.parametrize(
    ("asked", "applied"), [(MAXIMUM, None), (MAXIMUM + 1, "20"), (200_000, "20"), (None, None)]
)
async def test_a_limit_above_the_maximum_is_told(
    small: Client, media_type: str, asked: int | None, applied: str | None
) -> None:
    limit = {} if asked is None else {"limit": str(asked)}
    query = {"f": media_type, "properties": "name", "skipGeometry": "true", **limit}
    async with small.get(
        ITEMS, params=query, headers={"Origin": "https://example.org"}
    ) as response:
        body = await response.text()
        assert response.status == 200
        assert response.headers.get("Geosvc-Limit-Applied") == applied
        assert "Geosvc-Limit-Applied" in response.headers["Access-Control-Expose-Headers"]
    assert number_in(body, media_type) == (5 if asked is None else MAXIMUM)
    if media_type == "geojson":
        assert ("limitApplied" in body) == (applied is not None)


async def test_both_answers_are_right_when_they_are_kept(small: Client) -> None:
    for _ in range(2):
        assert "limitApplied" not in await fetch(small, f"{ITEMS}?limit=20")
        assert (await fetch(small, f"{ITEMS}?limit=21"))["limitApplied"] == MAXIMUM


@pytest.mark.parametrize(
    ("body", "applied"),
    [
        ({"limit": 21}, MAXIMUM),
        ({"limit": 20}, None),
        ({"geometry": POINT, "predicate": "nearest", "k": 21}, MAXIMUM),
        ({"geometry": POINT, "predicate": "nearest", "k": 1 << 70}, MAXIMUM),
        ({"geometry": POINT, "predicate": "nearest", "k": 3}, None),
    ],
)
async def test_a_search_tells_its_maximum(
    small: Client, body: dict[str, Any], applied: int | None
) -> None:
    async with small.post(SEARCH, json=body) as response:
        found = await response.json()
        assert response.status == 200
        assert response.headers.get("Geosvc-Limit-Applied") == (applied and str(applied))
    assert found.get("limitApplied") == applied


@pytest.mark.parametrize("media_type", ["geojsonseq", "csv"])
async def test_media_types_without_links_are_paged_by_their_header(
    small: Client, media_type: str
) -> None:
    path = f"{ITEMS}?f={media_type}&limit=20&properties=adm0_a3&skipGeometry=true&bbox=5,30,40,70"
    seen: list[str] = []
    pages = 0
    while path:
        async with small.get(URL(path, encoded=True)) as response:
            body = await response.text()
            following = response.links.get("next")
        pages += 1
        seen += re.findall(
            r'"adm0_a3": ?"(\w+)"' if media_type == "geojsonseq" else r"^\"?([A-Z]{3})\"?",
            body,
            re.MULTILINE,
        )
        parts = urlsplit(str(following["url"])) if following else None
        path = f"{parts.path}?{parts.query}" if parts is not None else ""
    assert (
        len(seen)
        == len(set(seen))
        == (await fetch(small, f"{ITEMS}?bbox=5,30,40,70&count=exact"))["numberMatched"]
    )
    assert pages > 2


async def test_a_search_without_links_is_paged_by_its_header(small: Client) -> None:
    asked = {"limit": 15, "properties": ["name"], "skipGeometry": True}
    sizes: list[int] = []
    cursor: dict[str, str] = {}
    while len(sizes) < 30:
        async with small.post(SEARCH, params={"f": "csv"}, json={**asked, **cursor}) as response:
            sizes.append(number_in(await response.text(), "csv"))
            following = response.headers.get("Geosvc-Next-Cursor")
        if following is None:
            break
        cursor = {"cursor": following}
    assert sum(sizes) == 241
    assert set(sizes[:-1]) == {15}
