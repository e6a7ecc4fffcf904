"""Many features in one body: read as they arrive, and stored in one transaction meanwhile.

One task reads the body, another one stores the features; a channel of two pieces is between them.
All features are stored or none; with `Prefer: handling=lenient` those that can be stored. A body
that breaks off leaves nothing behind.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from geosvc.bodies.elements import SplitLimits
from geosvc.bodies.properties import Mode
from geosvc.bodies.raw_feature import Posted
from geosvc.bodies.splitting import BodySplitter, FeatureCollectionSplitter, SequenceSplitter
from geosvc.database.writes.bounded_channel import Channel
from geosvc.database.writes.bulk import BulkLoad, BulkOptions
from geosvc.database.writes.constraint_faults import RuleNames
from geosvc.database.writes.idempotency import answer_once
from geosvc.database.writes.transaction import Transaction
from geosvc.errors import BodyTimeout, RequestError, StaleCatalog, Unavailable
from geosvc.handlers.bulk_parser import CHUNK_BYTES, BulkParser, read_features
from geosvc.handlers.bulk_report import report_answer
from geosvc.handlers.write_answers import send_answer
from geosvc.handlers.write_once import idempotency_key, request_digest
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
    keyed = write.options.upsert or write.collection.needs_key
    parser = _make_parser(request, write, keyed=keyed, sequence=sequence)
    parser.single = single
    load = _make_load(request, write, parser, keyed=keyed)
    slot = request.app[UPLOADS].slot(request)
    upload = _Upload(request, write, parser, load, slot, Channel(PIECES_AHEAD))
    try:
        answer = await _read_and_store(upload, body)
    except StaleCatalog:
        await request.app[CATALOG].look()
        raise Unavailable("the table was altered meanwhile; send it again") from None
    except RequestError as error:
        await upload.rule_names().name(error)
        if error.index is not None:
            error.pointer = parser.pointer(error.index, error.pointer)
        raise
    return send_answer(answer)


def _make_parser(
    request: web.Request,
    write: WriteRequest,
    *,
    keyed: bool,
    sequence: bool,
) -> BulkParser:
    max_feature_bytes = request.app[SETTINGS].max_feature_bytes
    limits = SplitLimits(max_feature_bytes=max_feature_bytes, piece_bytes=CHUNK_BYTES)
    splitter: BodySplitter
    if sequence:
        splitter = SequenceSplitter(limits)
    else:
        splitter = FeatureCollectionSplitter(limits)
    reader = reader_of(request, write, Mode.CREATE, keyed=keyed)
    scale = cost_of(write, b"x")
    return BulkParser(splitter, reader, write.crs, sequence, scale=scale)


def _make_load(
    request: web.Request,
    write: WriteRequest,
    parser: BulkParser,
    *,
    keyed: bool,
) -> BulkLoad:
    settings = request.app[SETTINGS]
    options = BulkOptions(
        write.collection,
        parser.reader,
        request.app[WRITES].plans,
        write.crs,
        keyed=keyed,
        upsert=write.options.upsert,
        lenient=write.preferences.lenient,
        max_rejected=settings.max_rejected,
        max_ids=settings.limit_max,
    )
    return BulkLoad(options)


@dataclass(frozen=True, slots=True)
class _Upload:
    """A body that is read and stored.

    Attributes:
        slot: a long body has it while its transaction is open.
        channel: between the task that reads and the task that stores.
    """

    request: web.Request
    write: WriteRequest
    parser: BulkParser
    load: BulkLoad
    slot: UploadSlot
    channel: Channel[Posted]

    def rule_names(self) -> RuleNames:
        """Finds the names of the properties that constraints are about."""
        return RuleNames(self.request.app[DATABASE], self.write.collection)

    async def store(self) -> Answer:
        """Stores the features that come through the channel in one transaction, and reports."""
        writer = self.request.app[WRITES].writer
        isolation = self.write.isolation
        dry_run = self.write.options.dry_run
        return await writer.transact(
            self._answer, isolation=isolation, dry_run=dry_run, retry=False
        )

    async def _answer(self, transaction: Transaction) -> Answer:
        if self.write.idempotency_key is None:
            return await self._carry_out(transaction)
        key = idempotency_key(self.request, self.write, self._digest)
        carry_out = partial(self._carry_out, transaction)
        read_to_end = partial(self._read_to_end, transaction)
        return await answer_once(transaction, key, carry_out, read_to_end)

    async def _carry_out(self, transaction: Transaction) -> Answer:
        report = await self.load.run(transaction, self._features(transaction))
        names = self.rule_names()
        for _, error in report.rejected:
            await names.name(error)
        report.received = self.parser.received
        return report_answer(report, self.write, self.parser)

    async def _read_to_end(self, transaction: Transaction) -> None:
        """Reads the body of a request that was carried out before, for its digest."""
        async for _ in self._features(transaction):
            pass

    def _features(self, transaction: Transaction) -> AsyncIterator[Posted]:
        """The features of the channel; the transaction is kept alive while they are awaited."""
        asking_seconds = self.request.app[SETTINGS].read_stall_seconds / 3
        return transaction.waiting_for(self.channel.items(), asking_seconds)

    def _digest(self) -> bytes:
        return request_digest(self.write.identity, self.parser.digest.digest())


async def _read_and_store(upload: _Upload, body: AsyncIterator[bytes]) -> Answer:
    """Reads the body in this task, and stores its features in another one."""
    app, channel = upload.request.app, upload.channel
    bulk_seconds = app[SETTINGS].bulk_seconds
    admitted = _admitted(upload, body)
    features = read_features(upload.parser, upload.load, admitted, app[OFFLOAD])
    storing: asyncio.Future[Answer] | None = None
    try:
        async with asyncio.timeout(bulk_seconds) as reading_limit:
            # no transaction is open before a client has sent something that can be read
            first = await anext(features, None)
            storing = asyncio.ensure_future(upload.store())
            storing.add_done_callback(partial(_end_reading, upload, reading_limit))
            if first is not None and await channel.put(first):
                await _put_all(features, channel)
    except BaseException as error:
        is_late = isinstance(error, TimeoutError)
        if is_late and storing is not None and storing.done():
            return await storing  # it failed, and nobody waits for the rest of the body
        await _abandon(error, upload, storing)
        if is_late:
            raise BodyTimeout(f"the body took longer than {bulk_seconds:g} seconds") from None
        raise
    await channel.end()  # from here on it is stored, whether or not the client waits for it
    return await storing


async def _put_all(features: AsyncIterator[Posted], channel: Channel[Posted]) -> None:
    """Puts features into the channel until it is closed."""
    async for posted in features:
        is_open = await channel.put(posted)
        if not is_open:
            return


async def _abandon(
    error: BaseException,
    upload: _Upload,
    storing: "asyncio.Future[Answer] | None",
) -> None:
    """Ends the storing after a failure of the reading."""
    upload.channel.abandon()
    if storing is None:
        upload.slot.leave()
    elif isinstance(error, RequestError | TimeoutError):
        await asyncio.wait((storing,))  # nothing of it is left when the client gets its answer


def _end_reading(
    upload: _Upload,
    reading_limit: asyncio.Timeout,
    storing: "asyncio.Future[Answer]",
) -> None:
    """Stops reading when the storing has ended, whatever came of it."""
    upload.slot.leave()
    upload.channel.close()
    with suppress(RuntimeError):  # the body is read to its end already
        reading_limit.reschedule(0)
    if not storing.cancelled():
        storing.exception()  # so that asyncio does not report one that nobody waits for


async def _admitted(upload: _Upload, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body. Where it is longer than a chunk, it waits for a slot.

    The transaction of a long body waits for the client, so there are only so many of them.
    """
    size = 0
    async for data in body:
        size_before = size
        size += len(data)
        becomes_long = size_before < CHUNK_BYTES <= size
        if becomes_long:
            await upload.slot.enter()
            upload.request[HELD].free()
        yield data
