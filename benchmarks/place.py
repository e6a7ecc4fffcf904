"""Where the benchmarks run: a private cluster of their own, or the database of
GEOSVC_BENCH_DATABASE_URL.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from geosvc.devdb.cluster import Cluster, default_folder

VARIABLE = "GEOSVC_BENCH_DATABASE_URL"
DATABASE = "geosvc_bench"
SETTINGS = {
    "shared_buffers": "512MB",
    "max_connections": "200",  # the pools of all peers at once
}  # everything else as PostgreSQL comes: durability too


def bench_cluster() -> Cluster:
    """The private cluster, beside geosvc's own. It keeps its data between runs."""
    own = default_folder()
    return Cluster(own.with_name(f"{own.name}-bench"), settings=SETTINGS)


@contextmanager
def bench_database() -> Iterator[str]:
    """The URL of the database. A cluster that was started for it is stopped at the end.

    Raises: ClusterError.
    """
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    cluster = bench_cluster()
    started = cluster.start()
    try:
        cluster.ensure_database(DATABASE)
        yield cluster.url(DATABASE)
    finally:
        if started:
            cluster.stop()
