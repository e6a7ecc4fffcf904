"""Bad input gets a 4xx that names the fault; never a 500, never SQL or a stack."""

import socket
from urllib.parse import quote

import pytest
from yarl import URL

from tests.conftest import Client
from tests.http import fetch

ITEMS = "/collections/cities/items"

WRONG = [
    ("nope=1", "nope"),
    ("bbox=1,2,3", "bbox"),
    ("bbox=1,2,3,4,5", "bbox"),
    ("bbox=NaN,2,3,4", "bbox"),
    ("bbox=1,2,inf,4", "bbox"),
    ("bbox=1,2,1e400,4", "bbox"),
    ("bbox=1,50,3,40", "bbox"),
    ("bbox=1,-91,3,40", "bbox"),
    ("bbox=1,2,3,90.1", "bbox"),
    ("bbox=", "bbox"),
    ("bbox=a,b,c,d", "bbox"),
    ("limit=0", "limit"),
    ("limit=-1", "limit"),
    ("limit=ten", "limit"),
    ("limit=1.5", "limit"),
    ("limit=99999999999999999999", "limit"),
    ("limit=%D9%A3", "limit"),
    ("offset=-1", "offset"),
    ("offset=9223372036854775808", "offset"),
    ("sortby=nope", "sortby"),
    ("sortby=alternate_names", "sortby"),
    ("sortby=name,", "sortby"),
    ("properties=name,nope", "properties"),
    ("datetime=yesterday", "datetime"),
    ("datetime=2020-13-01", "datetime"),
    ("datetime=2020-01-01T25:00:00Z", "datetime"),
    ("datetime=2021-01-01/2020-01-01", "datetime"),
    ("datetime=a/b/c", "datetime"),
    ("cursor=nonsense", "cursor"),
    ("cursor=%00", "cursor"),
    ("name=%00", "name"),
    ("name=%FF", "name"),
    ("%FF=1", None),
    ("population=12345678901234567890", "population"),
    ("population=many", "population"),
    ("precision=16", "precision"),
    ("simplify=-1", "simplify"),
    ("simplify=nan", "simplify"),
    ("zoom-level=31", "zoom-level"),
    ("simplify=1&zoom-level=3", "zoom-level"),
    ("skipGeometry=perhaps", "skipGeometry"),
    ("count=some", "count"),
    ("f=shapefile", "f"),
    ("limit=1&limit=2", "limit"),
    ("bigint=yes", "bigint"),
]


@pytest.mark.parametrize(("query", "parameter"), WRONG, ids=[query for query, _ in WRONG])
async def test_a_wrong_parameter_is_named(
    sample: Client, query: str, parameter: str | None
) -> None:
    async with sample.get(URL(f"{ITEMS}?{query}", encoded=True)) as response:
        problem = await response.json(content_type="application/problem+json")
        assert response.status == problem["status"] == 400
    assert problem["type"].startswith("urn:geosvc:problem:")
    assert problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-ID"]
    if parameter is not None:
        assert problem["parameter"] == parameter
    assert "select" not in problem["detail"].lower()


async def test_a_cursor_of_another_query_is_refused(sample: Client) -> None:
    page = await fetch(sample, f"{ITEMS}?limit=5")
    cursor = URL(next(link["href"] for link in page["links"] if link["rel"] == "next")).query[
        "cursor"
    ]
    problem = await fetch(sample, f"{ITEMS}?limit=5&sortby=name&cursor={cursor}", status=400)
    assert problem["parameter"] == "cursor"
    problem = await fetch(sample, f"/collections/streets/items?cursor={cursor}", status=400)
    assert problem["parameter"] == "cursor"
    problem = await fetch(sample, f"{ITEMS}?cursor={cursor}&offset=5", status=400)
    assert problem["parameter"] == "offset"
    await fetch(sample, f"{ITEMS}?limit=500&properties=name&cursor={cursor}")


async def test_more_than_the_limit_gives_the_limit(sample: Client) -> None:
    page = await fetch(sample, f"{ITEMS}?limit=1000000&skipGeometry=true&properties=name")
    assert page["numberReturned"] == 10_000


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/collections/nope",
        "/collections/nope/items",
        "/collections/nope/items/1",
        "/collections/nope/export",
        "/collections/cities/items/0",
        "/collections/cities/items/abc",
        "/collections/cities/items/99999999999999999999999",
        "/collections/cities/items/1%2C2",
        "/collections/cities/items/%00",
        "/collections/cities/items/1'--",
        "/collections/%00/items",
        "/collections/countries/items/fin%00",
        "/collections/pg_class/items",
        '/collections/cities"; DROP TABLE cities; --/items',
    ],
)
async def test_what_is_not_there_is_404(sample: Client, path: str) -> None:
    problem = await fetch(sample, quote(path, safe="/%"), status=404)
    assert problem["title"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
async def test_a_wrong_method_is_405_with_allow(sample: Client, method: str) -> None:
    async with sample.request(method, ITEMS) as response:
        assert response.status == 405
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
        assert (await response.json(content_type="application/problem+json"))["status"] == 405


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/geo+json", "application/geo+json"),
        ("application/json", "application/geo+json"),
        ("*/*", "application/geo+json"),
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html"),
        ("text/csv", "text/csv"),
        ("text/csv;q=0.5, application/geo+json-seq", "application/geo+json-seq"),
        ("application/geo+json;q=0, */*", "application/geo+json-seq"),
    ],
)
async def test_accept_chooses_the_media_type(sample: Client, accept: str, expected: str) -> None:
    async with sample.get(ITEMS, headers={"Accept": accept}) as response:
        assert response.status == 200
        assert response.content_type == expected


async def test_what_cannot_be_served_is_406(sample: Client) -> None:
    for path in ("/", ITEMS, "/collections/cities/items/2960", "/collections/cities/export"):
        async with sample.get(path, headers={"Accept": "image/png"}) as response:
            assert response.status in (406, 404), path
    async with sample.get(ITEMS, headers={"Accept": "image/png"}) as response:
        assert response.status == 406


async def test_documents_refuse_unknown_parameters_too(sample: Client) -> None:
    for path in (
        "/",
        "/conformance",
        "/collections",
        "/collections/cities",
        "/collections/countries/items/FIN",
        "/api",
    ):
        problem = await fetch(sample, f"{path}?x=1", status=400)
        assert problem["parameter"] == "x"
        await fetch(sample, f"{path}?f=json")


async def test_injection_finds_nothing_and_breaks_nothing(sample: Client) -> None:
    for text in (
        "' OR 1=1 --",
        '"; DROP TABLE cities; --',
        "$1",
        "{}",
        "%s",
        "\\",
        "a'||pg_sleep(5)||'b",
    ):
        page = await fetch(sample, f"{ITEMS}?name={quote(text)}")
        assert page["features"] == []
    for text in ("name'", 'name"', "name;", "1", "name--"):
        await fetch(sample, f"{ITEMS}?sortby={quote(text)}", status=400)
    assert (await fetch(sample, f"{ITEMS}?count=exact&limit=1"))["numberMatched"] == 69472


@pytest.mark.parametrize("host", [b"\xff", b'a"<b>', b"a:99999", b"[::1"])
def test_a_host_that_is_none_is_a_400_and_not_copied_into_links(
    sample_server: tuple[str, int], host: bytes
) -> None:
    for path in (
        b"/",
        b"/collections/cities/items?limit=3000&properties=",
        b"/collections/countries/items/FRA",
    ):
        with socket.create_connection(sample_server, timeout=5) as connection:
            connection.sendall(
                b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
            )
            assert b" 400 " in connection.recv(1000).split(b"\r\n")[0], path
