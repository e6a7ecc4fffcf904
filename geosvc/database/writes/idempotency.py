"""Carry out a repeated request only once: the answer is stored in the transaction of the write.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import orjson

from geosvc.database.writes.transaction import Transaction
from geosvc.errors import IdempotencyKeyReused, NotMigrated
from geosvc.model.answer import Answer
from geosvc.sql.files import load_statement

_MISSING_TABLE_ERRORS = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key and the request that it identifies.

    Attributes:
        digest: returns the digest of the whole request. Call it after the body was read.
        kept_seconds: how long the answer is stored.
    """

    key: str
    digest: Callable[[], bytes]
    kept_seconds: float


async def answer_once(
    transaction: Transaction,
    key: IdempotencyKey,
    produce: Callable[[], Awaitable[Answer]],
    consume: Callable[[], Awaitable[None]],
) -> Answer:
    """Carry out the first request with a key; return the stored answer to all others.

    It waits for another request with the same key that is running. A request that fails leaves no
    key behind.

    Args:
        produce: carries out the request.
        consume: reads the body of a request that is not carried out, for its digest.
    Raises: IdempotencyKeyReused, NotMigrated.
    """
    if not await _claim(transaction, key):
        await consume()
        return await _stored_answer(transaction, key)
    answer = await produce()
    await _store(transaction, key, answer)
    return answer


async def _claim(transaction: Transaction, key: IdempotencyKey) -> bool:
    """Whether this request is the first with its key. Raises: NotMigrated."""
    expire = load_statement("idempotency_expire", (key.kept_seconds, key.key))
    claim = load_statement("idempotency_claim", (key.key, b""))
    try:
        await transaction.fetch(expire)
        claimed = await transaction.fetch(claim)
    except _MISSING_TABLE_ERRORS:
        raise NotMigrated("Idempotency-Key needs the schema that `geosvc migrate` makes") from None
    return bool(claimed)


async def _stored_answer(transaction: Transaction, key: IdempotencyKey) -> Answer:
    """The answer of the first request. Raises: IdempotencyKeyReused."""
    rows = await transaction.fetch(load_statement("idempotency_answer", (key.key,)))
    digest, status, headers_json, body = rows[0]
    if bytes(digest) != key.digest():
        raise IdempotencyKeyReused("this Idempotency-Key was used for another request")
    headers = orjson.loads(headers_json)
    headers["Idempotency-Replayed"] = "true"
    return Answer(status, headers, bytes(body))


async def _store(transaction: Transaction, key: IdempotencyKey, answer: Answer) -> None:
    # orjson only takes keys that are exactly str, and header names may be of a subclass
    headers = {f"{name}": value for name, value in answer.headers.items()}
    headers_json = orjson.dumps(headers).decode()
    digest = key.digest()
    values = (key.key, answer.status, headers_json, answer.body, digest)
    await transaction.fetch(load_statement("idempotency_keep", values))
