"""The URL table: every method and path, its handler and its operation id."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from geosvc.handlers import (
    admin_activity,
    admin_pages,
    api,
    assets,
    changes,
    collections,
    export,
    functions,
    health,
    item,
    items,
    landing,
    post_items,
    schemas,
    search,
    styles,
    tiles,
    tilesets,
    transactions,
)
from geosvc.http.keys import OBSERVED

_PLACEHOLDER = re.compile(r"\{(\w+)\}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    Attributes:
        path: with placeholders in braces, such as `/collections/{collectionId}/items`.
        openapi: an Operation Object of OpenAPI 3.0 for a route of an extension; None: the
            description does not have the route. `openapi.operations` describes geosvc's own routes.
    """

    method: str
    path: str
    handler: Handler
    operation_id: str
    openapi: Mapping[str, Any] | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """What no two routes share: the method, and the path without the names in braces."""
        return self.method, _PLACEHOLDER.sub("{}", self.path).rstrip("/")


ROUTES = (
    Route("GET", "/", landing.get_landing_page, "getLandingPage"),
    Route("GET", "/api", api.get_api, "getApi"),
    Route("GET", "/conformance", landing.get_conformance, "getConformanceDeclaration"),
    Route("GET", "/functions", functions.get_functions, "getFunctions"),
    Route("GET", "/collections", collections.get_collections, "getCollections"),
    Route("GET", "/collections/{collectionId}", collections.get_collection, "describeCollection"),
    Route("GET", "/collections/{collectionId}/schema", schemas.get_schema, "getSchema"),
    Route(
        "GET",
        "/collections/{collectionId}/schema/feature",
        schemas.get_feature_schema,
        "getFeatureSchema",
    ),
    Route("GET", "/collections/{collectionId}/queryables", schemas.get_queryables, "getQueryables"),
    Route("GET", "/collections/{collectionId}/sortables", schemas.get_sortables, "getSortables"),
    Route("GET", "/collections/{collectionId}/items", items.get_items, "getFeatures"),
    Route("GET", "/collections/{collectionId}/items/{featureId}", item.get_item, "getFeature"),
    Route("GET", "/collections/{collectionId}/export", export.get_export, "exportFeatures"),
    Route("GET", "/collections/{collectionId}/changes", changes.get_changes, "getChanges"),
    Route(
        "GET",
        "/collections/{collectionId}/tiles",
        tilesets.get_collection_tilesets,
        "collection.vector.getTileSetsList",
    ),
    Route(
        "GET",
        "/collections/{collectionId}/tiles/{tileMatrixSetId}",
        tilesets.get_collection_tileset,
        "collection.vector.getTileSet",
    ),
    Route(
        "GET",
        "/collections/{collectionId}/tiles/{tileMatrixSetId}/{z}/{x}/{y}.mvt",
        tiles.get_collection_tile_by_xyz,
        "collection.vector.getTileByXyz",
    ),
    Route(
        "GET",
        "/collections/{collectionId}/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}",
        tiles.get_collection_tile,
        "collection.vector.getTile",
    ),
    Route(
        "GET",
        "/collections/{collectionId}/style",
        styles.get_collection_style,
        "collection.vector.getStyle",
    ),
    Route("GET", "/style", styles.get_dataset_style, "dataset.vector.getStyle"),
    Route("GET", "/tiles", tilesets.get_dataset_tilesets, "dataset.vector.getTileSetsList"),
    Route(
        "GET", "/tiles/{tileMatrixSetId}", tilesets.get_dataset_tileset, "dataset.vector.getTileSet"
    ),
    Route(
        "GET",
        "/tiles/{tileMatrixSetId}/{z}/{x}/{y}.mvt",
        tiles.get_dataset_tile_by_xyz,
        "dataset.vector.getTileByXyz",
    ),
    Route(
        "GET",
        "/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}",
        tiles.get_dataset_tile,
        "dataset.vector.getTile",
    ),
    Route("GET", "/tileMatrixSets", tilesets.get_tile_matrix_sets, "getTileMatrixSetsList"),
    Route(
        "GET",
        "/tileMatrixSets/{tileMatrixSetId}",
        tilesets.get_tile_matrix_set,
        "getTileMatrixSet",
    ),
    Route("POST", "/collections/{collectionId}/search", search.search_items, "searchFeatures"),
    Route(
        "OPTIONS",
        "/collections/{collectionId}/items",
        transactions.get_items_options,
        "getItemsOptions",
    ),
    Route("POST", "/collections/{collectionId}/items", post_items.post_items, "createFeatures"),
    Route(
        "OPTIONS",
        "/collections/{collectionId}/items/{featureId}",
        transactions.get_item_options,
        "getItemOptions",
    ),
    Route(
        "PUT",
        "/collections/{collectionId}/items/{featureId}",
        transactions.replace_item,
        "replaceFeature",
    ),
    Route(
        "PATCH",
        "/collections/{collectionId}/items/{featureId}",
        transactions.change_item,
        "updateFeature",
    ),
    Route(
        "DELETE",
        "/collections/{collectionId}/items/{featureId}",
        transactions.delete_item,
        "deleteFeature",
    ),
)
PAGE_ROUTES = (
    Route("GET", "/api.html", api.get_api_page, "getApiPage"),
    Route("GET", "/static/{version}/{name}", assets.get_asset, "getAsset"),
)
"""Pages for people and their files; the OpenAPI description does not have them."""

ADMIN_ROUTES = (
    Route("GET", "/", admin_pages.get_overview, "getOverview"),
    Route("GET", "/livez", health.get_livez, "getLiveness"),
    Route("GET", "/readyz", health.get_readyz, "getReadiness"),
    Route("GET", "/metrics", admin_pages.get_metrics, "getMetrics"),
    Route("GET", "/slow-queries", admin_pages.get_slow_queries, "getSlowQueries"),
    Route("GET", "/activity", admin_activity.get_activity, "getActivity"),
    Route("GET", "/activity/{pid}/cancel", admin_activity.confirm_cancel, "confirmCancel"),
    Route("POST", "/activity/{pid}/cancel", admin_activity.cancel_activity, "cancelStatement"),
    Route("GET", "/pool", admin_pages.get_pool, "getPool"),
)


def _pattern(placeholder: re.Match[str]) -> str:
    """A segment of any characters: that of aiohttp takes no brace, and an id may have one.

    The name of a file may have several segments.
    """
    characters = "[^/]+"
    if placeholder[1] == "name":
        characters = ".+"
    return f"{{{placeholder[1]}:{characters}}}"


def _is_below_items(route: Route) -> bool:
    return "/items" in route.path


def add_routes(app: web.Application, routes: tuple[Route, ...]) -> None:
    """Adds the routes; GET answers HEAD as well.

    Paths above the items are answered with a slash at their end, too: clients that look for the
    parent of a document ask so. Items come first: they are requested most, and aiohttp tries the
    paths that begin alike one after another, each once for all of its methods.
    """
    resources: dict[str, web.Resource] = {}

    def add(path: str, method: str, route: Route, name: str | None = None) -> None:
        if path not in resources:
            resources[path] = app.router.add_resource(path, name=name)
        resources[path].add_route(method, route.handler)

    items = [route for route in routes if _is_below_items(route)]
    others = [route for route in routes if not _is_below_items(route)]
    for route in (*items, *others):
        path = _PLACEHOLDER.sub(_pattern, route.path)
        app[OBSERVED].operations[route.handler] = (route.operation_id, route.path)
        methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
        for method in methods:
            add(path, method, route, route.operation_id)
            is_parent = route in others and route in ROUTES and not path.endswith("/")
            if is_parent and route.method == "GET":
                add(f"{path}/", method, route)
