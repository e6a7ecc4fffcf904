"""Many features in one body: read as they arrive, and stored in one transaction meanwhile.

All of them are stored or none; with `Prefer: handling=lenient` those that can be stored. A body
that breaks off leaves nothing behind.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

from aiohttp import web

from geosvc.bodies.elements import SplitLimits
from geosvc.bodies.properties import Mode
from geosvc.bodies.raw_feature import Posted
from geosvc.bodies.splitting import FeatureCollectionSplitter, SequenceSplitter
from geosvc.database.writes.bounded_channel import Channel
from geosvc.database.writes.bulk import BulkLoad, BulkOptions
from geosvc.database.writes.constraint_faults import RuleNames
from geosvc.database.writes.idempotency import answer_once
from geosvc.database.writes.transaction import Transaction
from geosvc.database.writes.writer import REPEATABLE_READ
from geosvc.errors import BodyTimeout, RequestError, StaleCatalog, Unavailable
from geosvc.handlers.bulk_parser import CHUNK_BYTES, BulkParser, read_features
from geosvc.handlers.bulk_report import describe_load
from geosvc.handlers.write_answers import send_answer
from geosvc.handlers.write_once import digest_of, idempotency_key
from geosvc.handlers.write_requests import WriteRequest, cost_of, reader_of
from geosvc.http.keys import CATALOG, DATABASE, OFFLOAD, SETTINGS, WRITES
from geosvc.http.upload_limits import HELD, UPLOADS, UploadSlot
from geosvc.model.answer import Answer

PIECES_AHEAD = 2


async def load_features(
    request: web.Request,
    write: WriteRequest,
    body: AsyncIterator[bytes],
    *,
    sequence: bool,
    single: bool = False,
) -> web.Response:
    """Stores the features of a body, and answers with a report.

    Args:
        sequence: whether the body is a GeoJSON text sequence, else a FeatureCollection.
        single: whether it is one feature.
    Raises: RequestError.
    """
    parser, load = _begin(request, write, sequence=sequence)
    parser.single = single
    try:
        return send_answer(await _read_and_store(request, write, body, parser, load))
    except StaleCatalog:
        await request.app[CATALOG].look()
        raise Unavailable("the table was altered meanwhile; send it again") from None
    except RequestError as error:
        await RuleNames(request.app[DATABASE], write.collection).name(error)
        if error.index is not None:
            error.pointer = parser.pointer(error.index, error.pointer)
        raise


def _begin(
    request: web.Request, write: WriteRequest, *, sequence: bool
) -> tuple[BulkParser, BulkLoad]:
    settings, collection = request.app[SETTINGS], write.collection
    needs_key = any(not column.may_default for column in collection.key_columns)
    keyed = write.options.upsert or needs_key
    reader = reader_of(request, write, Mode.CREATE, keyed=keyed)
    limits = SplitLimits(max_feature_bytes=settings.max_feature_bytes, piece_bytes=CHUNK_BYTES)
    splitter = SequenceSplitter(limits) if sequence else FeatureCollectionSplitter(limits)
    loading = BulkOptions(
        collection,
        reader,
        request.app[WRITES].plans,
        write.crs,
        keyed=keyed,
        upsert=write.options.upsert,
        lenient=write.preferences.lenient,
        max_rejected=settings.max_rejected,
        max_ids=settings.limit_max,
    )
    scale = cost_of(write, b"x")
    return BulkParser(splitter, reader, write.crs, sequence, scale=scale), BulkLoad(loading)


async def _read_and_store(
    request: web.Request,
    write: WriteRequest,
    body: AsyncIterator[bytes],
    parser: BulkParser,
    load: BulkLoad,
) -> Answer:
    slot = request.app[UPLOADS].slot(request)
    pieces = read_features(parser, load, _admitted(request, body, slot), request.app[OFFLOAD])
    channel: Channel[Posted] = Channel(PIECES_AHEAD)
    storing: asyncio.Future[Answer] | None = None
    bulk_seconds = request.app[SETTINGS].bulk_seconds
    try:
        async with asyncio.timeout(bulk_seconds) as reading_limit:
            # no transaction is open before a client has sent something that can be read
            first = await anext(pieces, None)
            storing = asyncio.ensure_future(_store(request, write, load, parser, channel))
            storing.add_done_callback(partial(_end_reading, slot, channel, reading_limit))
            if first is not None and await channel.put(first):
                async for posted in pieces:
                    if not await channel.put(posted):
                        break
    except BaseException as error:
        if isinstance(error, TimeoutError) and storing is not None and storing.done():
            return await storing  # it failed, and nobody waits for the rest of the body
        await _abandon(error, slot, channel, storing)
        if isinstance(error, TimeoutError):
            raise BodyTimeout(f"the body took longer than {bulk_seconds:g} seconds") from None
        raise
    await channel.end()  # from here on it is stored, whether or not the client waits for it
    return await storing


async def _abandon(
    error: BaseException,
    slot: UploadSlot,
    channel: Channel[Posted],
    storing: "asyncio.Future[Answer] | None",
) -> None:
    """Ends the storing after a failure of the reading."""
    channel.abandon()
    if storing is None:
        slot.leave()
    elif isinstance(error, RequestError | TimeoutError):
        await asyncio.wait((storing,))  # nothing of it is left when the client gets its answer


def _end_reading(
    slot: UploadSlot,
    channel: Channel[Posted],
    reading_limit: asyncio.Timeout,
    storing: "asyncio.Future[Answer]",
) -> None:
    """Stops reading when the storing has ended, whatever came of it."""
    slot.leave()
    channel.close()
    with suppress(RuntimeError):  # the body is read to its end already
        reading_limit.reschedule(0)
    if not storing.cancelled():
        storing.exception()  # so that asyncio does not report one that nobody waits for


async def _admitted(
    request: web.Request, body: AsyncIterator[bytes], slot: UploadSlot
) -> AsyncIterator[bytes]:
    """The body. Where it is longer than a chunk, it waits for a slot.

    The transaction of a long body waits for the client, so there are only so many of them.
    """
    size = 0
    async for data in body:
        if size < CHUNK_BYTES <= size + len(data):
            await slot.enter()
            request[HELD].free()
        size += len(data)
        yield data


async def _store(
    request: web.Request,
    write: WriteRequest,
    load: BulkLoad,
    parser: BulkParser,
    channel: Channel[Posted],
) -> Answer:
    """Stores the features that come through the channel in one transaction, and reports."""
    asking_seconds = request.app[SETTINGS].read_stall_seconds / 3
    dry_run = write.options.dry_run

    async def produce(transaction: Transaction) -> Answer:
        features = transaction.waiting_for(channel.items(), asking_seconds)
        report = await load.run(transaction, features)
        names = RuleNames(request.app[DATABASE], write.collection)
        for _, error in report.rejected:
            await names.name(error)
        report.received = parser.received
        return write.answer(*describe_load(report, write, parser))

    async def consume(transaction: Transaction) -> None:
        async for _ in transaction.waiting_for(channel.items(), asking_seconds):
            pass

    def digest() -> bytes:
        return digest_of(write.digest, parser.digest.digest())

    async def transact(transaction: Transaction) -> Answer:
        if write.idempotency_key is None:
            return await produce(transaction)
        key = idempotency_key(request, write, digest)
        return await answer_once(
            transaction, key, partial(produce, transaction), partial(consume, transaction)
        )

    isolation = REPEATABLE_READ if write.collection.is_view else ""
    writer = request.app[WRITES].writer
    return await writer.transact(transact, isolation=isolation, dry_run=dry_run, retry=False)
