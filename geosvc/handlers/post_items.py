"""POST to the items: creates the feature of the body, or loads many."""

from collections.abc import AsyncIterator

from aiohttp import hdrs, web

from geosvc.bodies.splitting import is_feature_collection
from geosvc.errors import InvalidParameter
from geosvc.handlers.bulk import load_features
from geosvc.handlers.transactions import create
from geosvc.handlers.write_requests import WriteRequest, parse_write, reports_strictness
from geosvc.http.keys import OFFLOAD, SETTINGS
from geosvc.http.methods import items_methods
from geosvc.http.request_body import chained, media_type_of, read_head, read_pieces, read_rest
from geosvc.model.collection import RelationKind
from geosvc.model.media_type import GEOJSON, GEOJSONSEQ
from geosvc.offload.offload import THREAD_BYTES

HEAD_BYTES = 2 << 20
"""A FeatureCollection shows its member `features` within so many bytes."""

CREATE_PARAMETERS = ("dry-run", "repair", "upsert")
_RECORD_SEPARATOR = b"\x1e"


@reports_strictness
async def post_items(request: web.Request) -> web.Response:
    """POST: creates one feature, or loads many."""
    write = await parse_write(request, items_methods, CREATE_PARAMETERS)
    max_body_bytes = request.app[SETTINGS].max_body_bytes
    media_type = media_type_of(request, (GEOJSON, GEOJSONSEQ))
    if media_type is GEOJSONSEQ:
        _check_upsert(write)
        pieces = read_pieces(request, max_body_bytes)
        return await load_features(request, write, pieces, sequence=True)

    async def shows_its_type(head: bytes) -> bool:
        if len(head) > HEAD_BYTES:
            return True
        return await _is_collection(request, head) is not None

    head, rest = await read_head(request, max_body_bytes, shows_its_type)
    if await _is_collection(request, head):
        _check_upsert(write)
        body = chained(head, rest)
        return await load_features(request, write, body, sequence=False)
    return await _store_one(request, write, head, rest)


async def _store_one(
    request: web.Request,
    write: WriteRequest,
    head: bytes,
    rest: AsyncIterator[bytes],
) -> web.Response:
    """Stores the feature of a body. An upsert is a load of one feature.

    Args:
        head, rest: the parts of the body, as `read_head` returns them.
    Raises: RequestError.
    """
    max_feature_bytes = request.app[SETTINGS].max_feature_bytes
    body = await read_rest(request, head, rest, max_feature_bytes)
    if not write.options.upsert:
        return await create(request, write, body)
    _check_upsert(write)
    sequence = chained(_RECORD_SEPARATOR + body, rest)
    return await load_features(request, write, sequence, sequence=True, single=True)


async def _is_collection(request: web.Request, head: bytes) -> bool | None:
    """Whether a body is a FeatureCollection; None when it takes more of the body to know."""
    # what has arrived of a compressed body may not be inflated yet
    is_compressed = hdrs.CONTENT_ENCODING in request.headers
    is_complete = request.content.at_eof() and not is_compressed
    weight = min(len(head), THREAD_BYTES)
    offload = request.app[OFFLOAD]
    return await offload.run(weight, _shows_collection, head, is_complete)


def _shows_collection(head: bytes, is_complete: bool) -> bool | None:
    """Whether a body is a FeatureCollection; None when it takes more of the body to know.

    Args:
        head: the beginning of the body.
        is_complete: whether `head` is the whole body.
    """
    if is_complete:
        # most bodies of one feature have neither word
        has_a_word = b'"features"' in head or b"FeatureCollection" in head
        if not has_a_word:
            return False
    return is_feature_collection(head)


def _check_upsert(write: WriteRequest) -> None:
    """Raises: InvalidParameter where rows cannot be found by a key of their own."""
    if not write.options.upsert:
        return
    collection = write.collection
    is_table = collection.kind is RelationKind.TABLE
    has_unique_key = bool(collection.key) and collection.key_is_unique
    if not is_table or not has_unique_key:
        raise InvalidParameter(
            "upsert is for tables with a key that is unique by an index", parameter="upsert"
        )
