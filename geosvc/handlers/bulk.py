"""Many features in one body: read as they arrive, checked in a thread, stored in one transaction meanwhile.

All of them are stored or none; with `Prefer: handling=lenient` the good ones. A body that breaks off leaves nothing behind.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

import orjson
from aiohttp import hdrs, web

from geosvc.database.bulk import BulkLoad, Loading, Rejection, Report
from geosvc.database.channel import Channel
from geosvc.database.idempotency import answer_once
from geosvc.database.writing import REPEATABLE_READ, Transaction
from geosvc.errors import BodyTimeout, BodyTooLarge, InvalidBody, RequestError, StaleCatalog, Unavailable
from geosvc.handlers.writing import WriteRequest, idempotency_key, reader_of, send_answer
from geosvc.keys import CATALOG, SETTINGS, WRITES
from geosvc.model.answer import Answer
from geosvc.model.media_type import JSON
from geosvc.problem import PROBLEM_TYPE
from geosvc.requests.elements import Limits, MalformedBody, TooLarge
from geosvc.requests.posted import FeatureReader, Posted
from geosvc.requests.properties import Mode
from geosvc.requests.splitting import FeatureCollectionSplitter, SequenceSplitter

PIECES_AHEAD = 2
CHUNK_BYTES = 4 << 20


@dataclass(slots=True)
class Reading:
    """A body that is being read.

    Attributes:
        sequence: whether the body is a sequence, in which no pointer tells one feature from another.
        received: features so far.
        digest: of the body so far.
    """

    splitter: FeatureCollectionSplitter | SequenceSplitter
    reader: FeatureReader
    sequence: bool
    received: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def pointer(self, index: int, pointer: str | None) -> str | None:
        """The pointer within a feature as one within the body."""
        return pointer if self.sequence else f"/features/{index}{pointer or ''}"

    def take(self, data: bytes, *, last: bool = False) -> tuple[list[Posted], list[Rejection]]:
        """Features out of the next bytes of the body. It takes a while, and belongs in a thread.

        Raises: InvalidBody, BodyTooLarge.
        """
        self.digest.update(data)
        found: list[Posted] = []
        rejections: list[Rejection] = []
        try:
            pieces = self.splitter.feed(data)
            if last:
                pieces += self.splitter.finish()
        except TooLarge as error:
            raise BodyTooLarge(error.detail, index=error.index) from None
        except MalformedBody as error:
            raise InvalidBody(error.detail, index=error.index) from None
        for piece in pieces:
            posted, refused = self.reader.read_many(b"[%b]" % piece.text, piece.first)
            self.received += len(posted) + len(refused)
            found.append(posted)
            rejections += refused
        return found, rejections


async def load_features(
    request: web.Request, wanted: WriteRequest, body: AsyncIterator[bytes], *, sequence: bool
) -> web.Response:
    """Stores the features of a body, and reports."""
    reading, load = _begin(request, wanted, sequence=sequence)
    try:
        return send_answer(await _read_and_store(request, wanted, body, reading, load))
    except StaleCatalog:
        await request.app[CATALOG].look()
        raise Unavailable("the table was altered meanwhile; send it again") from None
    except RequestError as error:
        if error.index is not None:
            error.pointer = reading.pointer(error.index, error.pointer)
        raise


async def _read_and_store(
    request: web.Request, wanted: WriteRequest, body: AsyncIterator[bytes], reading: Reading, load: BulkLoad
) -> Answer:
    pieces = _read_all(reading, load, body)
    channel: Channel[Posted] = Channel(PIECES_AHEAD)
    storing: asyncio.Future[Answer] | None = None
    bulk_seconds = request.app[SETTINGS].bulk_seconds
    try:
        async with asyncio.timeout(bulk_seconds):
            # nothing waits in the database for a client that is slow to begin, or that sends rubbish
            first = await anext(pieces, None)
            storing = asyncio.ensure_future(_store(request, wanted, load, reading, channel))
            storing.add_done_callback(lambda _: channel.close())
            storing.add_done_callback(_forget)
            if first is not None and await channel.put(first):
                async for posted in pieces:
                    if not await channel.put(posted):
                        break
    except BaseException as error:
        channel.abandon()
        if storing is not None and isinstance(error, RequestError | TimeoutError):
            await asyncio.wait((storing,))  # nothing of it is left when the client hears of it
        if isinstance(error, TimeoutError):
            raise BodyTimeout(f"the body took longer than {bulk_seconds:g} seconds") from None
        raise
    await channel.end()  # from here on it is stored, whether or not somebody waits for it
    return await storing


async def _read_all(reading: Reading, load: BulkLoad, body: AsyncIterator[bytes]) -> AsyncGenerator[Posted, None]:
    """Features that can be stored; the others are rejected."""
    chunk = bytearray()
    async for data in body:
        chunk += data
        if len(chunk) >= CHUNK_BYTES:
            for posted in await _take(reading, load, bytes(chunk)):
                yield posted
            chunk.clear()
    for posted in await _take(reading, load, bytes(chunk), last=True):
        yield posted


async def _take(reading: Reading, load: BulkLoad, data: bytes, *, last: bool = False) -> list[Posted]:
    found, rejections = await asyncio.to_thread(reading.take, data, last=last)
    load.reject(rejections)
    return found


def _begin(request: web.Request, wanted: WriteRequest, *, sequence: bool) -> tuple[Reading, BulkLoad]:
    settings, collection = request.app[SETTINGS], wanted.collection
    keyed = wanted.options.upsert or any(not column.may_default for column in collection.key_columns)
    reader = reader_of(request, wanted, Mode.CREATE, keyed=keyed)
    limits = Limits(max_feature_bytes=settings.max_feature_bytes, piece_bytes=CHUNK_BYTES)
    splitter = SequenceSplitter(limits) if sequence else FeatureCollectionSplitter(limits)
    load = BulkLoad(
        Loading(
            collection,
            reader,
            request.app[WRITES].plans,
            wanted.crs,
            keyed=keyed,
            upsert=wanted.options.upsert,
            lenient=wanted.preferences.lenient,
            max_rejected=settings.max_rejected,
            max_ids=settings.limit_max,
        )
    )
    return Reading(splitter, reader, sequence), load


async def _store(
    request: web.Request, wanted: WriteRequest, load: BulkLoad, reading: Reading, channel: Channel[Posted]
) -> Answer:
    """Stores what comes through the channel, in one transaction, and says what became of it."""

    async def produce(transaction: Transaction) -> Answer:
        report = await load.run(transaction, channel.items())
        report.received = reading.received
        return wanted.answer(*describe(report, dry_run=wanted.options.dry_run))

    async def consume() -> None:
        async for _ in channel.items():
            pass

    async def in_transaction(transaction: Transaction) -> Answer:
        await transaction.wait_for_pieces(request.app[SETTINGS].bulk_seconds)
        if wanted.idempotency_key is None:
            return await produce(transaction)
        key = idempotency_key(request, wanted, reading.digest.digest)
        return await answer_once(transaction, key, lambda: produce(transaction), consume)

    isolation = REPEATABLE_READ if wanted.collection.is_view else ""
    writer = request.app[WRITES].writer
    return await writer.transact(in_transaction, isolation=isolation, dry_run=wanted.options.dry_run, retry=False)


def _forget(task: "asyncio.Future[Answer]") -> None:
    """Takes the exception of a task that nobody may wait for, so that asyncio does not report it."""
    if not task.cancelled():
        task.exception()


def describe(report: Report, *, dry_run: bool) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to a load."""
    document: dict[str, object] = {
        "numberReceived": report.received,
        "numberCreated": report.created,
        "numberUpdated": report.updated,
        "numberRejected": len(report.rejected),
        "rejected": [
            {
                "index": index,
                "type": f"{PROBLEM_TYPE}{error.slug}",
                "detail": error.detail,
                **{name: value for name in ("pointer", "constraint") if (value := getattr(error, name)) is not None},
            }
            for index, error in report.rejected
        ],
    }
    if report.number_repaired:
        document["numberRepaired"] = report.number_repaired
        document["repaired"] = [{"index": index, "change": change} for index, change in report.repaired]
    if report.ids is not None and not dry_run:
        document["ids"] = [feature_id for _, feature_id in report.ids]
    status = 201 if report.created and not dry_run else 200
    return status, {hdrs.CONTENT_TYPE: JSON.content_type}, orjson.dumps(document)
