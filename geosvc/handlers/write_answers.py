"""The answers to writes, and the representation of a feature."""

from collections.abc import Sequence
from hashlib import blake2b

from aiohttp import hdrs, web

from geosvc.bodies.raw_feature import Posted
from geosvc.formats import GEOJSON_FORMAT
from geosvc.handlers.write_requests import WriteRequest
from geosvc.http.links import Link, item_links, item_url
from geosvc.model.answer import Answer
from geosvc.model.crs import Crs
from geosvc.model.feature import IDS_WITHOUT_URL, StoredFeature
from geosvc.model.media_type import GEOJSON, MediaType
from geosvc.query.feature_format import FeatureFormat


def send_answer(answer: Answer) -> web.Response:
    """The response of an answer."""
    headers = {**answer.headers, hdrs.VARY: "Prefer"}
    body = answer.body or None
    return web.Response(status=answer.status, headers=headers, body=body)


def validators(
    feature: StoredFeature, media_type: MediaType = GEOJSON, code_version: str = ""
) -> dict[str, str]:
    """The headers ETag and, where the time of the last change is known, Last-Modified.

    The ETag in GeoJSON is the version of the feature, with which writes compare it. Another media
    type has another one (RFC 9110 8.8.3.3), which changes with the code that writes it.
    """
    etag = feature.etag
    if media_type is not GEOJSON:
        code = blake2b(code_version.encode(), digest_size=4).hexdigest()
        etag = f'{etag[:-1]}.{media_type.short}.{code}"'
    headers = {"ETag": etag}
    modified = feature.last_modified
    if modified is not None:
        headers[hdrs.LAST_MODIFIED] = modified
    return headers


def representation(
    feature_format: FeatureFormat,
    text: bytes,
    links: Sequence[Link],
    crs: Crs,
) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a feature with its links.

    Args:
        text: the feature in UTF-8, without links.
        crs: of its coordinates.
    """
    headers = {
        hdrs.CONTENT_TYPE: feature_format.media_type.content_type,
        "Content-Crs": crs.content_crs,
    }
    if feature_format.write_one is not None:
        text = feature_format.write_one(text, links)
    return headers, text


def stored_answer(
    write: WriteRequest,
    posted: Posted,
    feature: StoredFeature,
    *,
    created: bool,
) -> Answer:
    """The answer to a feature that was stored.

    201 with its URL when it is new; with the feature where the client wants it back; with the
    repairs of its geometry.
    """
    headers: dict[str, str] = {}
    if posted.repairs:
        changes = [change for _, change in posted.repairs]
        headers["Geometry-Repaired"] = "; ".join(changes)
    if not write.options.dry_run:  # after a dry run there is no feature to find
        headers |= validators(feature)
        if created:
            headers |= location(write, feature.feature_id)
    body = b""
    returned = "minimal"
    if feature.text is not None and write.representation is not None:
        links = item_links(
            write.base,
            write.collection,
            feature.feature_id,
            GEOJSON,
            write.item_types,
        )
        of_body, body = representation(GEOJSON_FORMAT, feature.text, links, write.crs)
        headers |= of_body
        returned = "representation"
    status = _status(write, body, created=created)
    return write.answer(status, headers, body, returned=returned)


def location(write: WriteRequest, feature_id: str | None) -> dict[str, str]:
    """The header with the URL of a feature that was created; empty where it has none."""
    if feature_id is None or feature_id in IDS_WITHOUT_URL:
        return {}
    url = item_url(write.base, write.collection, feature_id)
    return {hdrs.LOCATION: url}


def _status(write: WriteRequest, body: bytes, *, created: bool) -> int:
    if write.options.dry_run:
        return 200
    if created:
        return 201
    if body:
        return 200
    return 204
