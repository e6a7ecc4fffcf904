"""Runs a write, and with an Idempotency-Key only once."""

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from geosvc.database.writes.idempotency import IdempotencyKey, answer_once
from geosvc.database.writes.transaction import Session, Transaction
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
    """Runs a write: in a transaction if it needs one, else each of its statements by itself.

    A change of a feature that is compared first is a read and an UPDATE; the hash of the content
    holds them together without a transaction.

    Args:
        in_transaction: whether its statements must take effect together.
    Raises: RequestError.
    """
    writer = request.app[WRITES].writer
    dry_run = write.options.dry_run
    needs_transaction = in_transaction or dry_run or write.collection.is_view_or_foreign
    if not needs_transaction and write.idempotency_key is None:
        answer = await work(writer)
        return send_answer(answer)

    async def transact(transaction: Transaction) -> Answer:
        carry_out = partial(work, transaction)
        if write.idempotency_key is None:
            return await carry_out()
        weight = min(len(body) >> _HASHED_PER_PARSED, THREAD_BYTES)
        digest = await request.app[OFFLOAD].run(weight, request_digest, write.identity, body)
        key = idempotency_key(request, write, lambda: digest)
        return await answer_once(transaction, key, carry_out, _read_nothing)

    answer = await writer.transact(transact, isolation=write.isolation, dry_run=dry_run)
    return send_answer(answer)


async def _read_nothing() -> None:
    """The body was read before the transaction."""


def request_digest(identity: bytes, body: bytes) -> bytes:
    """The digest of a request.

    Args:
        identity: as `WriteRequest.identity`.
        body: the body, or its digest.
    """
    digest = hashlib.sha256(identity + b"\n")
    digest.update(body)
    return digest.digest()


def idempotency_key(
    request: web.Request,
    write: WriteRequest,
    digest: Callable[[], bytes],
) -> IdempotencyKey:
    """The key of a request that has one.

    Args:
        digest: returns the digest of the request, once its body was read.
    Raises: InvalidParameter for a dry run.
    """
    if write.options.dry_run:
        raise InvalidParameter(
            "a dry run changes nothing: it takes no Idempotency-Key", parameter="Idempotency-Key"
        )
    assert write.idempotency_key is not None
    kept_seconds = request.app[SETTINGS].idempotency_seconds
    return IdempotencyKey(write.idempotency_key, digest, kept_seconds)
