"""Every document has an ETag, answers If-None-Match, and HEAD as GET.

Source: RFC 9110 8.8, 9.3.2 and 13.1.
"""

import pytest
from aiohttp import ClientResponse

from tests.conftest import Client

DOCUMENTS = [
    "/",
    "/conformance",
    "/api",
    "/collections",
    "/collections/countries",
    "/collections/countries?extent=exact",
    "/collections/countries/schema",
    "/collections/countries/schema/feature",
    "/collections/countries/queryables",
    "/collections/countries/sortables",
]


async def ask(
    client: Client, path: str, method: str = "GET", **headers: str
) -> tuple[ClientResponse, bytes]:
    async with client.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ) as answer:
        return answer, await answer.read()


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_a_document_has_a_strong_etag_and_is_not_sent_twice(
    sample: Client, path: str
) -> None:
    first, body = await ask(sample, path, Accept_Encoding="identity")
    etag = first.headers["ETag"]
    assert etag.startswith('"')
    assert body
    assert first.headers["Cache-Control"] == "no-cache"
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again, nothing = await ask(sample, path, If_None_Match=known, Accept_Encoding="identity")
        assert (again.status, nothing) == (304, b"")
        assert again.headers["ETag"] == etag
        assert again.headers["Cache-Control"] == "no-cache"
        assert "Accept" in ",".join(again.headers.getall("Vary"))
    changed, whole = await ask(sample, path, If_None_Match='"other"')
    assert (changed.status, whole) == (200, body)


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_head_is_get_without_a_body(sample: Client, path: str) -> None:
    got, body = await ask(sample, path, Accept_Encoding="identity")
    head, nothing = await ask(sample, path, "HEAD", Accept_Encoding="identity")
    volatile = {"Date", "Server-Timing", "X-Request-ID"}
    assert (head.status, nothing) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(body)
    assert {name: value for name, value in head.headers.items() if name not in volatile} == {
        name: value for name, value in got.headers.items() if name not in volatile
    }
    again, _ = await ask(sample, path, "HEAD", If_None_Match=got.headers["ETag"])
    assert again.status == 304


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_a_coding_has_a_tag_of_its_own_that_is_known_again(sample: Client, path: str) -> None:
    plain, _ = await ask(sample, path, Accept_Encoding="identity")
    packed, _ = await ask(sample, path, Accept_Encoding="gzip")
    etag = packed.headers["ETag"]
    assert (etag != plain.headers["ETag"]) == ("Content-Encoding" in packed.headers)
    again, _ = await ask(sample, path, Accept_Encoding="gzip", If_None_Match=etag)
    assert (again.status, again.headers["ETag"]) == (304, etag)


@pytest.mark.parametrize("path", ["/api", "/collections/countries/schema"])
async def test_media_types_have_tags_of_their_own(sample: Client, path: str) -> None:
    special, _ = await ask(sample, path)
    plain, _ = await ask(sample, path, Accept="application/json")
    assert special.headers["ETag"] != plain.headers["ETag"]


async def test_what_fails_has_no_etag(sample: Client) -> None:
    for path, status in (("/collections/nosuch", 404), ("/?no=1", 400)):
        answer, _ = await ask(sample, path, If_None_Match="*")
        assert answer.status == status
        assert "ETag" not in answer.headers


async def test_tags_that_are_none_are_refused(sample: Client) -> None:
    answer, _ = await ask(sample, "/", If_None_Match="nonsense")
    assert answer.status == 400
