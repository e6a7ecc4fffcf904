"""The database that a command works with: the one of the settings, or the private one."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from pydantic import SecretStr

from geosvc.devdb.binaries import NotInstalled
from geosvc.devdb.cluster import Cluster, default_folder
from geosvc.errors import StartError
from geosvc.settings import Settings

_NO_DATABASE = (
    "no database is named: --database-url postgresql://USER@HOST/DATABASE, or GEOSVC_DATABASE_URL. "
    "Without a name geosvc starts a private PostgreSQL, and cannot:"
)


def private_cluster(settings: Settings) -> Cluster:
    """The private cluster of the settings."""
    folder = settings.data_dir or default_folder()
    return Cluster(folder.absolute())


@contextmanager
def open_database(settings: Settings) -> Iterator[Settings]:
    """The settings with the URL of a database: their own, or that of the private database.

    The private cluster is created if it does not exist. It runs during the block, and is stopped
    when no other process uses it.
    Raises: StartError when PostgreSQL is not installed; ClusterError.
    """
    if settings.database_url is not None:
        yield settings
        return
    cluster = private_cluster(settings)
    try:
        cluster.find_programs()
    except NotInstalled as error:
        raise StartError(f"{_NO_DATABASE}\n{error}") from None
    action = "using" if cluster.is_made else "making"
    click.echo(f"geosvc: {action} the private PostGIS in {cluster.folder}", err=True)
    with cluster.used():
        cluster.ensure_database()
        yield settings.model_copy(update={"database_url": SecretStr(cluster.url())})


def direct_url(settings: Settings, who_needs: str) -> str:
    """The URL of the database itself, not of a pooler before it.

    Args:
        who_needs: what needs it, with its verb, for the message.
    Raises: StartError when only the pooler is known.
    """
    database_url = settings.direct_database_url or settings.database_url
    is_pooler = settings.pgbouncer and settings.direct_database_url is None
    if database_url is None or is_pooler:
        raise StartError(f"behind PgBouncer, {who_needs} GEOSVC_DIRECT_DATABASE_URL")
    return database_url.get_secret_value()
