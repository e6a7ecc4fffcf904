"""The same request twice is carried out once: the answer is kept beside the write, in its transaction.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import orjson

from geosvc.database.writing import Transaction
from geosvc.errors import IdempotencyKeyReused, NotMigrated
from geosvc.model.answer import Answer
from geosvc.sql.files import load_statement

_NOT_THERE = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key and the request that it names.

    Attributes:
        digest: of the whole request, which may be known only when its body was read.
        kept_seconds: how long the answer is kept.
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
    """The answer of the first request with this key; a request that is the first is carried out.

    Another request with the same key that is running now is waited for. One that fails leaves no key behind.

    Args:
        produce: carries the request out.
        consume: reads the body of a request that is not carried out, for its digest.
    Raises: IdempotencyKeyReused, NotMigrated.
    """
    try:
        await transaction.fetch(load_statement("idempotency_expire", (key.kept_seconds, key.key)))
        claimed = await transaction.fetch(load_statement("idempotency_claim", (key.key, b"")))
    except _NOT_THERE:
        raise NotMigrated("Idempotency-Key needs the schema that `geosvc migrate` makes") from None
    if not claimed:
        await consume()
        digest, status, headers, body = (await transaction.fetch(load_statement("idempotency_answer", (key.key,))))[0]
        if bytes(digest) != key.digest():
            raise IdempotencyKeyReused("this Idempotency-Key was used for another request")
        return Answer(status, {**orjson.loads(headers), "Idempotency-Replayed": "true"}, bytes(body))
    answer = await produce()
    headers = orjson.dumps({f"{name}": value for name, value in answer.headers.items()}).decode()  # plain texts as names
    kept = (key.key, answer.status, headers, answer.body, key.digest())
    await transaction.fetch(load_statement("idempotency_keep", kept))
    return answer
