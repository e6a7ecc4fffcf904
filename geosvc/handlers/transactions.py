"""Features created, replaced, updated and deleted one at a time.

Each handler has the same steps: permission, body, run, answer. Changes are planned while they run,
in `geosvc/database/writes/mutations.py`. Source: OGC 20-002r1 (Features
Part 4, draft), RFC 7396.
"""

from dataclasses import replace

from aiohttp import hdrs, web

from geosvc.bodies.feature_change import FeatureChange
from geosvc.bodies.properties import Mode
from geosvc.database.writes.change_target import ChangeTarget
from geosvc.database.writes.mutations import change_feature, create_feature, remove_feature
from geosvc.database.writes.transaction import Session
from geosvc.errors import InvalidFeature, NotFound
from geosvc.handlers.write_answers import stored_answer
from geosvc.handlers.write_faults import naming_the_fault
from geosvc.handlers.write_once import run_once
from geosvc.handlers.write_requests import (
    WriteRequest,
    cost_of,
    parse_write,
    reader_of,
    reports_strictness,
    target_of,
)
from geosvc.http.documents import collection_of
from geosvc.http.keys import OFFLOAD, SETTINGS, WRITES
from geosvc.http.methods import item_methods, items_methods
from geosvc.http.request_body import media_type_of, read_body
from geosvc.model.answer import Answer
from geosvc.model.collection import Collection
from geosvc.model.feature import StoredFeature
from geosvc.model.media_type import GEOJSON, GEOJSONSEQ, MERGE_PATCH
from geosvc.query.inserts import OnConflict
from geosvc.query.posted_rows import PostedColumns
from geosvc.query.returning import Returning
from geosvc.values.feature_id import parse_feature_id

CHANGE_PARAMETERS = ("dry-run", "repair", "precision")


async def create(request: web.Request, write: WriteRequest, body: bytes) -> web.Response:
    """Creates the feature of a body. Raises: RequestError."""
    collection = write.collection
    keyed = collection.needs_key
    reader = reader_of(request, write, Mode.CREATE, keyed=keyed)
    cost = cost_of(write, body)
    offload = request.app[OFFLOAD]
    posted = await offload.run(cost, reader.read_one, body)
    columns = reader.columns_of(posted.present[0])
    posted_columns = PostedColumns(columns, keyed, write.crs)
    returning = _returning(write)
    plans = request.app[WRITES].plans
    plan = plans.insert(collection, posted_columns, returning, OnConflict.FAIL)
    representation = write.representation

    async def work(session: Session) -> Answer:
        created = await create_feature(
            session, plan, collection, posted, representation=representation
        )
        if created is None:
            raise InvalidFeature("a trigger of the database dropped the feature")
        return stored_answer(write, posted, created, created=True)

    async with naming_the_fault(request, write, posted):
        return await run_once(request, write, body, work)


def _returning(write: WriteRequest) -> Returning:
    """What the statement returns: the whole feature only if the client wants it back."""
    if write.representation is None:
        return Returning.VALIDATORS
    return Returning.FEATURES


@reports_strictness
async def replace_item(request: web.Request) -> web.Response:
    """PUT: replaces the feature by the body; creates it where the collection allows that."""
    write = await parse_write(request, item_methods, CHANGE_PARAMETERS)
    target = target_of(request, write)
    media_type_of(request, (GEOJSON,))
    body, change = await _read_change(request, write, target, Mode.REPLACE)
    may_create = write.collection.put_creates
    offload = request.app[OFFLOAD]

    async def work(session: Session) -> Answer:
        changed: StoredFeature | None = None
        try:
            changed = await change_feature(session, target, change, offload)
        except NotFound:
            if not may_create:
                raise
        if changed is not None:
            return stored_answer(write, change.posted, changed, created=False)
        creation = await offload.run(change.weight, change.checked)
        return await _create_at(request, write, target, creation, session)

    async with naming_the_fault(request, write, change.posted):
        return await run_once(request, write, body, work, in_transaction=may_create)


@reports_strictness
async def change_item(request: web.Request) -> web.Response:
    """PATCH: changes the members that the body has; null removes one."""
    write = await parse_write(request, item_methods, CHANGE_PARAMETERS)
    target = target_of(request, write)
    media_type_of(request, (MERGE_PATCH,), accept_header="Accept-Patch")
    body, patch = await _read_change(request, write, target, Mode.MERGE)
    offload = request.app[OFFLOAD]

    async def work(session: Session) -> Answer:
        changed = await change_feature(session, target, patch, offload)
        return stored_answer(write, patch.posted, changed, created=False)

    async with naming_the_fault(request, write, patch.posted):
        return await run_once(request, write, body, work)


async def _read_change(
    request: web.Request,
    write: WriteRequest,
    target: ChangeTarget,
    mode: Mode,
) -> tuple[bytes, FeatureChange]:
    """The body, and the change that it makes. Raises: RequestError."""
    max_bytes = request.app[SETTINGS].max_feature_bytes
    body = await read_body(request, max_bytes)
    reader = reader_of(request, write, mode)
    cost = cost_of(write, body)
    offload = request.app[OFFLOAD]
    change = await offload.run(cost, reader.read_change, body, target.key)
    return body, change


@reports_strictness
async def delete_item(request: web.Request) -> web.Response:
    """DELETE: removes the feature."""
    write = await parse_write(request, item_methods, ("dry-run",))
    target = target_of(request, write)

    async def work(session: Session) -> Answer:
        await remove_feature(session, target)
        return write.answer(204, {}, returned="minimal")

    return await run_once(request, write, b"", work)


async def _create_at(
    request: web.Request,
    write: WriteRequest,
    target: ChangeTarget,
    creation: FeatureChange,
    session: Session,
) -> Answer:
    """Creates the feature of a PUT with the id of its URL.

    Replaces it where another client has created it meanwhile.
    """
    collection = write.collection
    columns = tuple(column for column in creation.columns if column.insertable)
    posted_columns = PostedColumns(columns, True, write.crs)
    returning = _returning(write)
    on_conflict = _on_conflict(collection)
    plans = request.app[WRITES].plans
    plan = plans.insert(collection, posted_columns, returning, on_conflict)
    posted = replace(creation.posted, keys=[target.key])
    representation = write.representation
    created = await create_feature(session, plan, collection, posted, representation=representation)
    if created is not None:
        return stored_answer(write, posted, created, created=True)
    offload = request.app[OFFLOAD]
    changed = await change_feature(session, target, creation, offload)
    return stored_answer(write, posted, changed, created=False)


def _on_conflict(collection: Collection) -> OnConflict:
    """What happens where another client has created the feature meanwhile."""
    # of a view, the index is that of its table
    if collection.key_is_unique or collection.is_view_or_foreign:
        return OnConflict.NOTHING
    return OnConflict.FAIL  # without a unique index there is no conflict


async def get_items_options(request: web.Request) -> web.Response:
    """OPTIONS: the methods of the items."""
    collection = await collection_of(request)
    methods = items_methods(collection)
    headers: dict[str, str] = {hdrs.ALLOW: ", ".join(methods)}
    if "POST" in methods:
        media_types = (*GEOJSON.names, *GEOJSONSEQ.names)
        headers["Accept-Post"] = ", ".join(media_types)
    return web.Response(headers=headers)


async def get_item_options(request: web.Request) -> web.Response:
    """OPTIONS: the methods of an item, whether it exists or not.

    Raises: NotFound for what cannot be an id.
    """
    collection = await collection_of(request)
    if collection.key:
        parse_feature_id(request.match_info["featureId"], collection)
    methods = item_methods(collection)
    headers: dict[str, str] = {hdrs.ALLOW: ", ".join(methods)}
    if "PATCH" in methods:
        headers["Accept-Patch"] = ", ".join(MERGE_PATCH.names)
    return web.Response(headers=headers)
