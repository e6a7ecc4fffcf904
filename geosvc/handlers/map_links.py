"""What a page with a map requests: its features as GeoJSON, and the stream of their changes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiohttp import web

from geosvc.http.keys import HUB
from geosvc.http.links import base_url, changes_url
from geosvc.model.collection import Collection
from geosvc.requests.items import ItemsQuery
from geosvc.requests.subscription import select_changes

_NOT_FOR_THE_MAP = ("f", "count", "crs", "skipGeometry", "simplify", "zoom-level", "precision")


@dataclass(frozen=True, slots=True)
class LiveStream:
    """The stream of changes that a page follows.

    Attributes:
        href: of the stream.
        after: the id of the event after which it goes on, taken before the page was read.
    """

    href: str
    after: str


def map_parameters(values: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a page that its map repeats."""
    repeated = {}
    for name, value in values.items():
        if name not in _NOT_FOR_THE_MAP:
            repeated[name] = value
    return repeated


def live_stream(
    request: web.Request,
    collection: Collection,
    values: Mapping[str, str],
) -> LiveStream | None:
    """The stream of the changes of a collection; None where they are not logged.

    Args:
        values: the parameters of the map.
    """
    if collection.publication is None or not collection.has_change_stream:
        return None
    # numbers keep all their digits, as those of the map
    parameters = {**select_changes(values), "bigint": "string"}
    href = changes_url(base_url(request), collection, parameters)
    position = request.app[HUB].position(collection.publication.id)
    return LiveStream(href, position)


def without_geometry(query: ItemsQuery) -> ItemsQuery:
    """The same query without geometries, which the map reads by itself: so a page stays small."""
    style = replace(query.geometry, skip=True)
    return replace(query, geometry=style)
