"""The url table: every method and path, its handler and its operation id."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from geosvc.handlers import (
    admin,
    api,
    assets,
    browsing,
    changes,
    collections,
    features,
    functions,
    landing,
    operations,
    schemas,
    search,
    transactions,
)
from geosvc.keys import OBSERVED

_PLACEHOLDER = re.compile(r"\{(\w+)\}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation."""

    method: str
    path: str
    handler: Handler
    operation_id: str


ROUTES = (
    Route("GET", "/", landing.get_landing_page, "getLandingPage"),
    Route("GET", "/api", api.get_api, "getApi"),
    Route("GET", "/conformance", landing.get_conformance, "getConformanceDeclaration"),
    Route("GET", "/functions", functions.get_functions, "getFunctions"),
    Route("GET", "/collections", collections.get_collections, "getCollections"),
    Route("GET", "/collections/{collectionId}", collections.get_collection, "describeCollection"),
    Route("GET", "/collections/{collectionId}/schema", schemas.get_schema, "getSchema"),
    Route("GET", "/collections/{collectionId}/schema/feature", schemas.get_feature_schema, "getFeatureSchema"),
    Route("GET", "/collections/{collectionId}/queryables", schemas.get_queryables, "getQueryables"),
    Route("GET", "/collections/{collectionId}/sortables", schemas.get_sortables, "getSortables"),
    Route("GET", "/collections/{collectionId}/items", browsing.get_items, "getFeatures"),
    Route("GET", "/collections/{collectionId}/items/{featureId}", browsing.get_item, "getFeature"),
    Route("GET", "/collections/{collectionId}/export", features.get_export, "exportFeatures"),
    Route("GET", "/collections/{collectionId}/changes", changes.get_changes, "getChanges"),
    Route("POST", "/collections/{collectionId}/search", search.search_items, "searchFeatures"),
    Route("OPTIONS", "/collections/{collectionId}/items", transactions.get_items_options, "getItemsOptions"),
    Route("POST", "/collections/{collectionId}/items", transactions.post_items, "createFeatures"),
    Route("OPTIONS", "/collections/{collectionId}/items/{featureId}", transactions.get_item_options, "getItemOptions"),
    Route("PUT", "/collections/{collectionId}/items/{featureId}", transactions.replace_item, "replaceFeature"),
    Route("PATCH", "/collections/{collectionId}/items/{featureId}", transactions.change_item, "updateFeature"),
    Route("DELETE", "/collections/{collectionId}/items/{featureId}", transactions.delete_item, "deleteFeature"),
)
PAGE_ROUTES = (
    Route("GET", "/api.html", api.get_api_page, "getApiPage"),
    Route("GET", "/static/{version}/{name}", assets.get_asset, "getAsset"),
)
"""For people and what their pages need: no part of the API that is described."""

ADMIN_ROUTES = (
    Route("GET", "/livez", admin.get_livez, "getLiveness"),
    Route("GET", "/readyz", admin.get_readyz, "getReadiness"),
    Route("GET", "/metrics", operations.get_metrics, "getMetrics"),
    Route("GET", "/slow-queries", operations.get_slow_queries, "getSlowQueries"),
    Route("GET", "/activity", operations.get_activity, "getActivity"),
    Route("POST", "/activity/{pid}/cancel", operations.cancel_activity, "cancelStatement"),
    Route("GET", "/pool", operations.get_pool, "getPool"),
)


def _pattern(placeholder: re.Match[str]) -> str:
    """A segment of any characters: aiohttp's own placeholder takes no brace, which an id may hold. A file may lie deeper."""
    return f"{{{placeholder[1]}:{'.+' if placeholder[1] == 'name' else '[^/]+'}}}"


def add_routes(app: web.Application, routes: tuple[Route, ...]) -> None:
    """Adds the routes; GET answers HEAD as well.

    What is above features answers with a slash behind its path too: clients that look for the document above another ask so.
    Features come first, since they are asked for most and aiohttp looks through paths that begin alike one after another.
    """
    for route in sorted(routes, key=lambda each: "/items" not in each.path):
        path = _PLACEHOLDER.sub(_pattern, route.path)
        app[OBSERVED].operations[route.handler] = (route.operation_id, route.path)
        app.router.add_route(route.method, path, route.handler, name=route.operation_id)
        if route.method != "GET":
            continue
        app.router.add_route("HEAD", path, route.handler)
        if route in ROUTES and not path.endswith("/") and "/items" not in path:
            for method in ("GET", "HEAD"):
                app.router.add_route(method, f"{path}/", route.handler)
