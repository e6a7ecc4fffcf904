"""Runs a write, and with an Idempotency-Key only once."""

import hashlib
from collections.abc import Awaitable, Callable

from aiohttp import web

from geosvc.database.writes.idempotency import IdempotencyKey, answer_once
from geosvc.database.writes.transaction import Session, Transaction
from geosvc.database.writes.writer import REPEATABLE_READ
from geosvc.errors import InvalidParameter
from geosvc.handlers.write_answers import send_answer
from geosvc.handlers.write_requests import WriteRequest
from geosvc.http.keys import OFFLOAD, SETTINGS, WRITES
from geosvc.model.answer import Answer
from geosvc.offload.offload import THREAD_BYTES

_HASHED_PER_PARSED = 6  # bits: a byte is hashed 64 times as fast as it is parsed


async def run_once(
    request: web.Request,
    write: WriteRequest,
    body: bytes,
    work: Callable[[Session], Awaitable[Answer]],
    *,
    in_transaction: bool = False,
) -> web.Response:
    """Runs a write: as one statement where it is one, else in a transaction.

    Args:
        in_transaction: whether it takes more than one statement.
    Raises: RequestError.
    """
    writer, is_view = request.app[WRITES].writer, write.collection.is_view
    dry_run = write.options.dry_run
    if not (in_transaction or write.idempotency_key or dry_run or is_view):
        return send_answer(await work(writer))

    async def transact(transaction: Transaction) -> Answer:
        if write.idempotency_key is None:
            return await work(transaction)
        weight = min(len(body) >> _HASHED_PER_PARSED, THREAD_BYTES)
        digest = await request.app[OFFLOAD].run(weight, digest_of, write.digest, body)
        key = idempotency_key(request, write, lambda: digest)
        return await answer_once(transaction, key, lambda: work(transaction), _nothing_to_read)

    isolation = REPEATABLE_READ if is_view else ""
    return send_answer(await writer.transact(transact, isolation=isolation, dry_run=dry_run))


async def _nothing_to_read() -> None:
    """The body was read before the transaction."""


def digest_of(head: bytes, body: bytes) -> bytes:
    """The digest of a request.

    Args:
        head: everything but the body.
    """
    digest = hashlib.sha256(head + b"\n")
    digest.update(body)
    return digest.digest()


def idempotency_key(
    request: web.Request, write: WriteRequest, digest: Callable[[], bytes]
) -> IdempotencyKey:
    """The key of a request that has one.

    Args:
        digest: gives the digest of the request when its body was read.
    Raises: InvalidParameter for a dry run.
    """
    if write.options.dry_run:
        raise InvalidParameter(
            "a dry run changes nothing: it takes no Idempotency-Key", parameter="Idempotency-Key"
        )
    assert write.idempotency_key is not None
    kept_seconds = request.app[SETTINGS].idempotency_seconds
    return IdempotencyKey(write.idempotency_key, digest, kept_seconds)
