"""Published tables of the benchmarks, and the tags of answers about them."""

import asyncio
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, sleep

from benchmarks.data import run_sql
from geosvc.database.changefeed.publishing import publish, unpublish
from geosvc.database.migrations import migrate_up
from geosvc.errors import StartError
from geosvc.settings import load_settings

_PATIENCE_SECONDS = 10.0


@contextmanager
def published(url: str, make: str, drop: str, table: str) -> Iterator[None]:
    """A published table, for as long as it is needed.

    Args:
        make, drop: SQL.
    """
    settings = load_settings(database_url=url)
    migrate_up(settings, url)
    run_sql(url, f"{drop};{make}")
    asyncio.run(publish(settings, url, table))
    yield
    asyncio.run(unpublish(settings, url, table))
    run_sql(url, drop)


def versioned_tag(url: str) -> str:
    """The weak ETag of an answer; there is none until the change log is read.

    Raises: StartError when none comes.
    """
    until = perf_counter() + _PATIENCE_SECONDS
    while perf_counter() < until:
        with urllib.request.urlopen(url) as answer:
            etag = str(answer.headers["ETag"])
        if etag.startswith("W/"):
            return etag
        sleep(0.05)
    raise StartError(f"{url} has no ETag of a version")
