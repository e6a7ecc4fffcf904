"""Read features so that no stored value can fail a read (docs/decisions/0005, 0027).

PostgreSQL writes each feature as one text: the fast way. If it refuses a geometry or a property,
`database.reads.fallback_read` reads the features again.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from geosvc.database.pool import Database
from geosvc.database.reads.failure_cause import attribute_failure
from geosvc.database.reads.failure_location import locate_failure
from geosvc.database.reads.fallback_read import allows_fallback, read_fallback
from geosvc.database.reads.runner import Reads
from geosvc.encode.batches import BatchSize
from geosvc.errors import RepeatedId, RequestError, UnreadableGeometry, UnreadableValue
from geosvc.model.collection import Collection
from geosvc.model.feature import StoredFeature
from geosvc.model.row import Row
from geosvc.query.features import FeaturePage, ordered_by_key, select_items, without_version
from geosvc.query.paging import PageEnd, next_cursor, pages_of
from geosvc.requests.items import ItemsQuery


async def fetch_features(database: Reads, page: FeaturePage) -> Sequence[Row]:
    """Fetch all rows of a page with a limit: (feature in UTF-8, sort values, extra values).

    Raises: RequestError.
    """
    try:
        return await database.fetch(page.statement)
    except RequestError as error:
        failure = error
    page_by_key = None
    if isinstance(failure, UnreadableGeometry | UnreadableValue):
        page_by_key = ordered_by_key(page)
    if page_by_key is not None:
        page = page_by_key
        try:
            return await database.fetch(page.statement)
        except RequestError as error:
            failure = error
    if allows_fallback(page, failure):
        try:
            limit = page.query.limit or 0
            return await read_fallback(database, page, limit + 1)
        except (UnreadableGeometry, UnreadableValue) as error:
            failure = error
    raise await explain_refusal(database, page, failure) from failure


async def explain_refusal(database: Reads, page: FeaturePage, error: RequestError) -> RequestError:
    """Return the error for the client; it names a stored value that could not be computed.

    Returns: `error` itself if nothing more is found.
    """
    if not isinstance(error, UnreadableGeometry | UnreadableValue):
        return error
    if not isinstance(database, Database):
        return error  # no probes within a transaction
    # an SQLSTATE of PostGIS may come from any value here: the fallback evaluates no geometry
    refused = UnreadableValue(
        "the database cannot compute a value of a feature", reason=error.reason
    )
    explained: RequestError = await attribute_failure(
        database, page.collection, page.query, refused
    )
    if explained is refused:
        explained = await locate_failure(database, page, refused)
    if explained is refused:
        return error
    return explained


async def fetch_item(database: Database, page: FeaturePage) -> StoredFeature | None:
    """Fetch the feature of a page that `select_item` made; None if there is none.

    Raises: RequestError; RepeatedId if several rows have the key.
    """
    if _selects_parts(page.query):
        rows = await _fetch_parts(database, page)
    else:
        rows = await fetch_features(database, page)
    if not rows:
        return None
    if len(rows) > 1:
        raise repeated_id(page.collection)
    row = rows[0]
    return StoredFeature(row[0], row[-2], row[-1])


def _selects_parts(query: ItemsQuery) -> bool:
    return query.properties is not None or query.geometry.skip


async def _fetch_parts(database: Database, page: FeaturePage) -> Sequence[Row]:
    """Fetch the rows of a feature of which only some parts are selected.

    The version is a hash of the whole row. If a part that is not selected makes it fail, the
    feature is read without its version.

    Raises: RequestError.
    """
    for variant in (page, without_version(page)):
        try:
            return await database.fetch(variant.statement)
        except (UnreadableGeometry, UnreadableValue):
            continue
    return await fetch_features(database, page)


def repeated_id(collection: Collection) -> RepeatedId:
    """The error for several rows with the same key, where the settings name the key."""
    relation = f"{collection.schema}.{collection.name}"
    key = ", ".join(collection.key)
    return RepeatedId(
        f"several features of {collection.id} have this id",
        reason=(
            f"rows of {relation} have the same {key}:"
            f" name columns with unique values in collections.{collection.id}.key"
        ),
    )


async def stream_features(
    database: Database, page: FeaturePage, sizes: BatchSize
) -> AsyncGenerator[Sequence[Row], None]:
    """Stream the rows of a page in batches, from one snapshot.

    After the first value that PostgreSQL refuses, each batch comes from a snapshot of its own.

    Yields: batches of (feature in UTF-8, sort values, extra values), in the order of the page,
        none empty.
    Raises: RequestError.
    """
    end = PageEnd(None)
    try:
        async with aclosing(database.stream(page.statement, sizes.next_rows)) as batches:
            async for batch in batches:
                end.take(batch)
                yield batch
        return
    except RequestError as error:
        if not allows_fallback(page, error):
            raise await explain_refusal(database, page, error) from error
    async with aclosing(_stream_fallback(database, page, sizes, end)) as batches:
        async for batch in batches:
            yield batch


async def _stream_fallback(
    database: Database, page: FeaturePage, sizes: BatchSize, end: PageEnd
) -> AsyncGenerator[Sequence[Row], None]:
    """Stream the rest of a page by the fallback.

    Args:
        end: where the rows that were sent end; it is updated.
    Raises: RequestError.
    """
    limit = None
    if page.query.limit is not None:
        limit = page.query.limit + 1
    rest = page
    if not end.returned:
        rest = ordered_by_key(page) or page
    rest = _page_after(rest, end)
    returned = end.returned
    while limit is None or returned < limit:
        batch_rows = sizes.next_rows([])
        if limit is not None:
            batch_rows = min(batch_rows, limit - returned)
        batch_end = PageEnd(None)
        try:
            rows = batch_end.take(await read_fallback(database, rest, batch_rows))
        except (UnreadableGeometry, UnreadableValue) as error:
            raise await explain_refusal(database, rest, error) from error
        if rows:
            yield rows
        if len(rows) < batch_rows:
            return
        returned += len(rows)
        rest = _page_after(rest, batch_end)


def _page_after(page: FeaturePage, end: PageEnd) -> FeaturePage:
    """The page that begins after the last row that was read."""
    if end.last is None:
        return page
    pages = pages_of(page.collection, page.query)
    cursor = next_cursor(pages, page.query, replace(end, more=True), None)
    query = replace(page.query, cursor=cursor, offset=0)
    return select_items(page.collection, query, page.format)
