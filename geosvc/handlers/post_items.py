"""POST to the items: creates the feature of the body, or loads many."""

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
    settings = request.app[SETTINGS]
    if media_type_of(request, (GEOJSON, GEOJSONSEQ)) is GEOJSONSEQ:
        _check_upsert(write)
        pieces = read_pieces(request, settings.max_body_bytes)
        return await load_features(request, write, pieces, sequence=True)

    async def shows_its_type(head: bytes) -> bool:
        return len(head) > HEAD_BYTES or await _is_collection(request, head) is not None

    head, rest = await read_head(request, settings.max_body_bytes, shows_its_type)
    if await _is_collection(request, head):
        _check_upsert(write)
        return await load_features(request, write, chained(head, rest), sequence=False)
    body = await read_rest(request, head, rest, settings.max_feature_bytes)
    if not write.options.upsert:
        return await create(request, write, body)
    _check_upsert(write)
    sequence = chained(_RECORD_SEPARATOR + body, rest)
    return await load_features(request, write, sequence, sequence=True, single=True)


async def _is_collection(request: web.Request, head: bytes) -> bool | None:
    """Whether a body is a FeatureCollection; None when it takes more of the body to know."""
    # what has arrived of a compressed body may not be inflated yet
    is_whole = request.content.at_eof() and hdrs.CONTENT_ENCODING not in request.headers
    weight = min(len(head), THREAD_BYTES)
    return await request.app[OFFLOAD].run(weight, _shows_collection, head, is_whole)


def _shows_collection(head: bytes, is_whole: bool) -> bool | None:
    # most bodies of one feature have neither word
    if is_whole and b'"features"' not in head and b"FeatureCollection" not in head:
        return False
    return is_feature_collection(head)


def _check_upsert(write: WriteRequest) -> None:
    """Raises: InvalidParameter where rows cannot be found by a key of their own."""
    if not write.options.upsert:
        return
    collection = write.collection
    if (
        collection.kind is not RelationKind.TABLE
        or not collection.key
        or not collection.key_is_unique
    ):
        raise InvalidParameter(
            "upsert is for tables with a key that is unique by an index", parameter="upsert"
        )
