"""The answers to writes, and the representation of a feature."""

import orjson
from aiohttp import hdrs, web

from geosvc.bodies.raw_feature import Posted
from geosvc.handlers.write_requests import WriteRequest
from geosvc.http.links import item_links, item_url
from geosvc.model.answer import Answer
from geosvc.model.collection import Collection
from geosvc.model.crs import Crs
from geosvc.model.feature import IDS_WITHOUT_URL, StoredFeature
from geosvc.model.media_type import GEOJSON


def send_answer(answer: Answer) -> web.Response:
    """The response of an answer."""
    headers = {**answer.headers, hdrs.VARY: "Prefer"}
    return web.Response(status=answer.status, headers=headers, body=answer.body or None)


def validators(feature: StoredFeature) -> dict[str, str]:
    """The headers ETag and, where the time of the last change is known, Last-Modified."""
    headers = {"ETag": feature.etag}
    modified = feature.last_modified
    if modified is not None:
        headers[hdrs.LAST_MODIFIED] = modified
    return headers


def representation(
    base: str, collection: Collection, feature_id: str | None, text: bytes, crs: Crs
) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a feature with its links.

    Args:
        base: the root URL that clients see.
        text: the feature as GeoJSON in UTF-8, without links.
        crs: of its coordinates.
    """
    links = orjson.dumps(item_links(base, collection, feature_id))
    headers = {hdrs.CONTENT_TYPE: GEOJSON.content_type, "Content-Crs": crs.content_crs}
    return headers, text[:-1] + b',"links":' + links + b"}"


def stored_answer(
    write: WriteRequest, posted: Posted, feature: StoredFeature, *, created: bool
) -> Answer:
    """The answer to a feature that was stored.

    201 with its URL when it is new; with the feature where the client wants it back; with the
    repairs of its geometry.
    """
    headers: dict[str, str] = {}
    body = b""
    if posted.repairs:
        headers["Geometry-Repaired"] = "; ".join(change for _, change in posted.repairs)
    if not write.options.dry_run:  # after a dry run there is no feature to find
        headers |= validators(feature)
        if created and feature.feature_id is not None and feature.feature_id not in IDS_WITHOUT_URL:
            headers[hdrs.LOCATION] = item_url(write.base, write.collection, feature.feature_id)
    if feature.text is not None and write.representation is not None:
        more, body = representation(
            write.base, write.collection, feature.feature_id, feature.text, write.crs
        )
        headers |= more
    returned = "representation" if body else "minimal"
    status = _status(write, body, created=created)
    return write.answer(status, headers, body, returned=returned)


def _status(write: WriteRequest, body: bytes, *, created: bool) -> int:
    if write.options.dry_run:
        return 200
    if created:
        return 201
    return 200 if body else 204
