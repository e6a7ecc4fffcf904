"""Two principals never share what is kept or read once for several requests."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from geosvc.app import build_app
from geosvc.catalog.collections import Catalog
from geosvc.database.catalog import CatalogFollower
from geosvc.database.migrations import migrate_up
from geosvc.database.reads.extents import MAX_PRINCIPALS, Extent
from geosvc.events import QueryEnded
from geosvc.formats import GEOJSON_FORMAT
from geosvc.http.keys import CATALOG, CHANGE_READER, EXTENTS, LOOKUPS
from geosvc.http.middleware import set_principal
from geosvc.model.collection import Collection
from geosvc.model.principal import ANONYMOUS, Principal
from geosvc.requests.cursor import parse_cursor
from geosvc.requests.items import ItemsQuery
from geosvc.server.serve import runner_arguments
from geosvc.trace import Run
from tests.conftest import Client, ClientOf, settings_for
from tests.databases import make_template, with_database
from tests.live import publish_now
from tests.observing import seen

ADA, BOB = Principal("ada"), Principal("bob")
TABLES = """
CREATE TABLE places (id int PRIMARY KEY, name text, geom geometry(Point, 4326));
INSERT INTO places
  SELECT n, 'place ' || n, ST_SetSRID(ST_Point(n / 2.0, n / 2.0), 4326) FROM generate_series(1, 90) n;
CREATE TABLE vaults (
  id int PRIMARY KEY, place int REFERENCES places, geom geometry(Point, 4326)
);
INSERT INTO vaults SELECT n, n, ST_SetSRID(ST_Point(n / 2.0, n / 2.0), 4326) FROM generate_series(1, 9) n;
ALTER TABLE places ADD COLUMN of_vaults int REFERENCES vaults;
ANALYZE places, vaults;
"""
PLACES = "/collections/places/items"
BROWSER = {"Accept": "text/html"}


@pytest.fixture(scope="session")
def template(server_url: str) -> str:
    """A database with the published table `places` and the table `vaults`."""
    name = make_template(server_url, "geosvc_principals", TABLES)
    url = with_database(server_url, name)
    migrate_up(settings_for(url), url)
    publish_now(url, "places")
    return name


@web.middleware
async def name_principal(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Takes the principal from a header, as authentication would."""
    subject = request.headers.get("X-Test-Subject")
    if subject is not None:
        set_principal(request, Principal(subject))
    return await handler(request)


@pytest.fixture
def url(clone: Callable[[str], str], template: str) -> str:
    return clone(template)


@pytest.fixture
async def client(client_of: ClientOf, url: str) -> Client:
    settings = settings_for(url, writable=("*",))
    app = build_app(settings)
    app.middlewares.append(name_principal)
    client = await client_of(app, **runner_arguments(settings))
    assert await app[CHANGE_READER].ready(5)
    return client


def app_of(client: Client) -> web.Application:
    app = client.app
    assert isinstance(app, web.Application)
    return app


def collection(client: Client, name: str = "places") -> Collection:
    return app_of(client)[CATALOG].catalog[name]


@contextmanager
def runs(name: str) -> Iterator[list[Run]]:
    """The statements of this name, as they end."""
    found: list[Run] = []
    with seen(QueryEnded) as ended:
        yield found
    found += [each.run for each in ended if each.run.name == name]


async def get(
    client: Client, principal: Principal, path: str, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    """Status and body of a GET by a principal."""
    given = {**(headers or {})}
    if principal.subject is not None:
        given["X-Test-Subject"] = principal.subject
    async with client.get(path, headers=given) as response:
        return response.status, await response.text()


async def get_json(client: Client, principal: Principal, path: str) -> Any:
    given = {"X-Test-Subject": principal.subject} if principal.subject else {}
    async with client.get(path, headers=given) as response:
        assert response.status == 200
        return await response.json()


async def test_a_look_up_has_the_ids_of_one_principal(client: Client) -> None:
    lookups, query = app_of(client)[LOOKUPS], ItemsQuery(limit=1)
    ids_of = {ADA: {"1", "3", "5"}, BOB: {"2", "4", "5"}}
    with runs("items.by_id") as found:
        await asyncio.gather(
            *(
                lookups.get(principal, collection(client), query, GEOJSON_FORMAT, each)
                for principal, ids in ids_of.items()
                for each in sorted(ids)
            )
        )
    looked_up = [set(arg) for run in found for arg in run.args if isinstance(arg, list)]
    assert sorted(looked_up, key=min) == [ids_of[ADA], ids_of[BOB]]


@pytest.mark.parametrize("order", [(ADA, BOB), (BOB, ADA), (ANONYMOUS, ADA), (ADA, ANONYMOUS)])
async def test_a_count_is_shared_by_the_pages_of_one_principal(
    client: Client, order: tuple[Principal, Principal]
) -> None:
    for principal in order:
        with runs("items.count") as found:
            for limit in (3, 4, 5):
                page = await get_json(client, principal, f"{PLACES}?count=exact&limit={limit}")
                assert page["numberMatched"] == 90
        assert len(found) == 1


async def test_no_cursor_carries_a_count_to_another_principal(client: Client) -> None:
    for principal in (ADA, ANONYMOUS):
        first = await get_json(client, principal, f"{PLACES}?count=exact&limit=80")
        (following,) = (link["href"] for link in first["links"] if link["rel"] == "next")
        cursor = parse_cursor(following.partition("cursor=")[2].partition("&")[0])
        assert cursor.matched == (90 if principal is ANONYMOUS else None)
        for other in (ADA, BOB):
            with runs("items.count") as found:
                last = await get_json(client, other, f"/{following.split('/', 3)[3]}")
            assert (last["numberMatched"], last["numberReturned"]) == (90, 10)
            # ada has counted for her first page, bob counts once
            assert len(found) == (other is BOB and principal is ADA)


async def test_extents_are_kept_for_one_principal(client: Client) -> None:
    for principal in (ADA, BOB):
        for expected in (1, 0):
            with runs("collection.estimated_extents") as found:
                document = await get_json(client, principal, "/collections")
            assert document["collections"][1]["extent"]["spatial"]["bbox"]
            assert len(found) == expected
        with runs("collection.estimated_extents") as found:
            await get_json(client, principal, "/collections/places")
            await get(client, principal, "/", BROWSER)
        assert found == []


async def test_extents_are_kept_for_a_bounded_number_of_principals(client: Client) -> None:
    extents = app_of(client)[EXTENTS]

    async def find_exact(_: Collection) -> Extent:
        raise AssertionError("there is an estimate")

    for number in range(MAX_PRINCIPALS + 3):
        found = await extents.best(Principal(str(number)), [collection(client)], find_exact)
        assert found["places"].bbox is not None
    assert len(extents._caches) == MAX_PRINCIPALS


@pytest.fixture
def hiding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog follower that hides the collection `vaults` from bob."""
    see_all = CatalogFollower.current_for

    def current_for(self: CatalogFollower, principal: Principal) -> Catalog | None:
        catalog = see_all(self, principal)
        if catalog is None or principal != BOB:
            return catalog
        seen_by_bob = {name: each for name, each in catalog.collections.items() if name != "vaults"}
        return replace(catalog, collections=seen_by_bob)

    monkeypatch.setattr(CatalogFollower, "current_for", current_for)


DOCUMENTS = ("/", "/collections", "/conformance", "/collections/places/schema")
OF_HIDDEN = (
    "",
    "/items",
    "/items/1",
    "/export",
    "/changes",
    "/schema",
    "/schema/feature",
    "/queryables",
    "/sortables",
)


@pytest.mark.usefixtures("hiding")
@pytest.mark.parametrize("headers", [{}, BROWSER], ids=["JSON", "HTML"])
@pytest.mark.parametrize("order", [(ADA, BOB), (BOB, ADA)], ids=["ada first", "bob first"])
async def test_a_collection_can_be_hidden_from_a_principal_in_all_documents(
    client: Client, headers: dict[str, str], order: tuple[Principal, Principal]
) -> None:
    paths: tuple[str, ...] = DOCUMENTS
    if not headers:
        paths += ("/api",)
    named = {}
    for principal in (*order, *order):
        for path in paths:
            status, text = await get(client, principal, path, headers)
            assert status == 200
            # the name of the column is no secret
            named[principal, path] = "vaults" in text.replace("of_vaults", "")
    assert not any(named[BOB, path] for path in paths)
    assert named[ADA, "/collections"]
    assert named.get((ADA, "/api"), True)


@pytest.mark.usefixtures("hiding")
async def test_a_collection_that_is_hidden_from_a_principal_does_not_exist_for_it(
    client: Client,
) -> None:
    _, nothing = await get(client, BOB, "/collections/vault")
    assert "did you mean" not in nothing.lower()
    for rest in OF_HIDDEN:
        status, _ = await get(client, BOB, f"/collections/vaults{rest}")
        assert status == 404, rest
        if rest != "/changes":  # it is not published
            status, _ = await get(client, ADA, f"/collections/vaults{rest}")
            assert status == 200, rest
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        path = "/collections/vaults/items" if method == "POST" else "/collections/vaults/items/1"
        async with client.request(method, path, headers={"X-Test-Subject": "bob"}) as response:
            assert response.status == 404, method
