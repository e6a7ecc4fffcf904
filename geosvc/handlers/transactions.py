"""Features made, replaced, changed and deleted one at a time. Source: OGC 20-002r1 (Features Part 4, draft), RFC 7396.

Each handler reads straight down: who may, what comes, what is planned, run, answer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from aiohttp import hdrs, web

from geosvc.database.mutations import Fetch, Target, change_feature, create_feature, remove_feature
from geosvc.errors import InvalidFeature, InvalidParameter, NotFound
from geosvc.handlers.bodies import chained, media_type_of, read_body, read_head, read_pieces, read_rest
from geosvc.handlers.bulk import load_features
from geosvc.handlers.documents import collection_of
from geosvc.handlers.writing import (
    WriteRequest,
    item_methods,
    items_methods,
    parse_write,
    reader_of,
    run_once,
    stored_answer,
    target_of,
)
from geosvc.keys import SETTINGS, WRITES
from geosvc.model.answer import Answer
from geosvc.model.collection import Kind
from geosvc.model.media_type import GEOJSON, GEOJSONSEQ, MERGE_PATCH
from geosvc.query.mutations import Assignments, OnConflict, Returning, Source
from geosvc.requests.feature_id import parse_feature_id
from geosvc.requests.posted import FeatureReader, Posted
from geosvc.requests.posted_faults import value_at_fault
from geosvc.requests.properties import Mode
from geosvc.requests.splitting import is_feature_collection

HEAD_BYTES = 2 << 20  # a collection has its features in sight by then
CHANGE_PARAMETERS = ("dry-run", "repair")
CREATE_PARAMETERS = (*CHANGE_PARAMETERS, "upsert")


async def post_items(request: web.Request) -> web.Response:
    """POST: one feature is made; many are loaded."""
    wanted = await parse_write(request, items_methods, CREATE_PARAMETERS)
    settings = request.app[SETTINGS]
    if media_type_of(request, (GEOJSON, GEOJSONSEQ)) is GEOJSONSEQ:
        check_upsert(wanted)
        return await load_features(request, wanted, read_pieces(request, settings.max_body_bytes), sequence=True)

    def kind_of(head: bytes) -> bool | None:
        # what has arrived of a compressed body may not be inflated yet
        return is_collection(head, whole=request.content.at_eof() and hdrs.CONTENT_ENCODING not in request.headers)

    head, rest = await read_head(
        request, settings.max_body_bytes, lambda head: kind_of(head) is not None or len(head) > HEAD_BYTES
    )
    if kind_of(head):
        check_upsert(wanted)
        return await load_features(request, wanted, chained(head, rest), sequence=False)
    body = await read_rest(request, head, rest, settings.max_feature_bytes)
    if wanted.options.upsert:
        check_upsert(wanted)
        return await load_features(request, wanted, chained(b"\x1e" + body, rest), sequence=True)
    return await create(request, wanted, body)


def is_collection(head: bytes, *, whole: bool) -> bool | None:
    """Whether a body is a FeatureCollection; None when more of it is needed to tell.

    Args:
        whole: whether there is no more of it: then two words tell most of those that are none.
    """
    if whole and b'"features"' not in head and b"FeatureCollection" not in head:
        return False
    return is_feature_collection(head)


def check_upsert(wanted: WriteRequest) -> None:
    """Raises: InvalidParameter where rows cannot be found by a key of their own."""
    if wanted.options.upsert and (wanted.collection.kind is not Kind.TABLE or not wanted.collection.key):
        raise InvalidParameter("upsert is for tables with a key", parameter="upsert")


async def create(request: web.Request, wanted: WriteRequest, body: bytes) -> web.Response:
    """Makes the feature of a body."""
    collection = wanted.collection
    keyed = any(not column.may_default for column in collection.key_columns)
    reader = reader_of(request, wanted, Mode.CREATE, keyed=keyed)
    posted = reader.read_one(body)
    source = Source(reader.columns_of(posted.present[0]), keyed, wanted.crs)
    returning = Returning.FEATURES if wanted.representation is not None else Returning.VALIDATORS
    plan = request.app[WRITES].plans.insert(collection, source, returning, OnConflict.FAIL)

    async def work(fetch: Fetch) -> Answer:
        made = await create_feature(fetch, plan, collection, posted, representation=wanted.representation)
        if made is None:
            raise InvalidFeature("a trigger of the database dropped the feature")
        return stored_answer(wanted, posted, made, created=True)

    with naming_the_value(wanted, posted):
        return await run_once(request, wanted, body, work)


async def replace_item(request: web.Request) -> web.Response:
    """PUT: the feature becomes what the body says; where the collection allows it, a new one is made."""
    wanted = await parse_write(request, item_methods, CHANGE_PARAMETERS)
    target = target_of(request, wanted)
    media_type_of(request, (GEOJSON,))
    body = await read_body(request, request.app[SETTINGS].max_feature_bytes)
    reader = reader_of(request, wanted, Mode.REPLACE)
    posted = reader.read_one(body, target.key)
    replacement = replacement_of(wanted, reader, posted)

    async def work(fetch: Fetch) -> Answer:
        try:
            return stored_answer(wanted, posted, await change_feature(fetch, target, replacement), created=False)
        except NotFound:
            if not wanted.collection.put_creates:
                raise
        return await create_at(request, wanted, target, replacement, fetch)

    with naming_the_value(wanted, posted):
        return await run_once(request, wanted, body, work, whole=wanted.collection.put_creates)


async def change_item(request: web.Request) -> web.Response:
    """PATCH: what the body names is changed, and null removes."""
    wanted = await parse_write(request, item_methods, CHANGE_PARAMETERS)
    target = target_of(request, wanted)
    media_type_of(request, (MERGE_PATCH,), accept_header="Accept-Patch")
    body = await read_body(request, request.app[SETTINGS].max_feature_bytes)
    patch = reader_of(request, wanted, Mode.MERGE).read_patch(body, target.key)
    source = Source(patch.columns, False, wanted.crs)
    assignments = Assignments("write.patch", patch.posted, source, patch.geometry, merged=patch.merged)

    async def work(fetch: Fetch) -> Answer:
        return stored_answer(wanted, patch.posted, await change_feature(fetch, target, assignments), created=False)

    with naming_the_value(wanted, patch.posted):
        return await run_once(request, wanted, body, work)


async def delete_item(request: web.Request) -> web.Response:
    """DELETE."""
    wanted = await parse_write(request, item_methods, ("dry-run",))
    target = target_of(request, wanted)

    async def work(fetch: Fetch) -> Answer:
        await remove_feature(fetch, target)
        return wanted.answer(204, {})

    return await run_once(request, wanted, b"", work)


def replacement_of(wanted: WriteRequest, reader: FeatureReader, posted: Posted) -> Assignments:
    """What a PUT sets: every column that can be changed, those that the feature is silent about to their default."""
    columns = reader.columns_of(posted.present[0])
    names = {column.name for column in columns}
    defaults = tuple(name for name in reader.default_columns if name not in names)
    source = Source(columns, False, wanted.crs)
    return Assignments("write.replace", posted, source, wanted.collection.geometry.updatable, defaults)


async def create_at(
    request: web.Request, wanted: WriteRequest, target: Target, replacement: Assignments, fetch: Fetch
) -> Answer:
    """Makes the feature of a PUT under the id of its URL; replaces it if somebody else made it meanwhile."""
    columns = tuple(column for column in replacement.source.columns if column.insertable)
    source = Source(columns, True, wanted.crs)
    returning = Returning.FEATURES if target.representation is not None else Returning.VALIDATORS
    plan = request.app[WRITES].plans.insert(target.collection, source, returning, OnConflict.NOTHING)
    posted = replace(replacement.posted, keys=[target.key])
    made = await create_feature(fetch, plan, target.collection, posted, representation=target.representation)
    if made is not None:
        return stored_answer(wanted, posted, made, created=True)
    return stored_answer(wanted, posted, await change_feature(fetch, target, replacement), created=False)


@contextmanager
def naming_the_value(wanted: WriteRequest, posted: Posted) -> Iterator[None]:
    """Says which property it was whose value the database could not take."""
    try:
        yield
    except InvalidFeature as error:
        if error.pointer is not None or error.constraint is not None:
            raise
        raise value_at_fault(wanted.collection, posted.properties[0]) or error from error


async def get_items_options(request: web.Request) -> web.Response:
    """What can be done with the items."""
    methods = items_methods(await collection_of(request))
    headers: dict[str, str] = {hdrs.ALLOW: ", ".join(methods)}
    if "POST" in methods:
        headers["Accept-Post"] = ", ".join(media_type.essence for media_type in (GEOJSON, GEOJSONSEQ))
    return web.Response(headers=headers)


async def get_item_options(request: web.Request) -> web.Response:
    """What can be done with an item, whether it is there or not. Raises: NotFound for what can be no id."""
    collection = await collection_of(request)
    if collection.key:
        parse_feature_id(request.match_info["featureId"], collection)
    methods = item_methods(collection)
    headers: dict[str, str] = {hdrs.ALLOW: ", ".join(methods)}
    if "PATCH" in methods:
        headers["Accept-Patch"] = MERGE_PATCH.essence
    return web.Response(headers=headers)
