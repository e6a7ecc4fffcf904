"""The command `geosvc`."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click
import orjson
from pydantic import SecretStr
from rich.console import Console

from geosvc import __version__
from geosvc.app import check_routes
from geosvc.checking import run_check
from geosvc.database.cluster import Cluster, default_folder
from geosvc.errors import StartError
from geosvc.server import run
from geosvc.settings import Settings, load_settings
from geosvc.slow_log import describe_slow_log, parse_span, print_slow_log, read_slow_log
from geosvc.supervisor import supervise


class Geosvc(click.Group):
    """Says in one line each what is wrong, instead of a stack."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; a StartError ends it with exit status 1."""
        try:
            return super().invoke(ctx)
        except StartError as error:
            for line in str(error).splitlines():
                click.echo(f"geosvc: {line}", err=True)
            sys.exit(1)


@click.group(cls=Geosvc, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Puts a PostGIS database on the web: spatial tables as GeoJSON."""


def cluster_of(settings: Settings) -> Cluster:
    """The private cluster of the settings."""
    return Cluster((settings.data_dir or default_folder()).absolute())


@contextmanager
def private_database(settings: Settings) -> Iterator[Settings]:
    """The settings with the private database's URL. The cluster is started if it does not run, and then stopped at the
    end; one that somebody else started is left running.

    Raises: ClusterError.
    """
    cluster = cluster_of(settings)
    started = cluster.start()
    try:
        cluster.ensure_database()
        click.echo(f"geosvc: using the private PostGIS in {cluster.folder}", err=True)
        yield settings.model_copy(update={"database_url": SecretStr(cluster.url())})
    finally:
        if started:
            cluster.stop()


@contextmanager
def some_database(settings: Settings) -> Iterator[Settings]:
    """The settings with a URL: their own, or the private database's. Raises: ClusterError."""
    if settings.database_url is not None:
        yield settings
        return
    with private_database(settings) as served:
        yield served


def start(settings: Settings) -> None:
    """Serves in this process, or in several under a supervisor."""
    check_routes(settings)
    if settings.workers > 1:
        supervise(settings)
    else:
        run(settings)


@main.command()
@click.option("--database-url", metavar="URL", help="The database to serve. None: a private PostGIS is started.")
@click.option("--host", metavar="H", help="Address to listen on.")
@click.option("--port", type=int, metavar="N", help="Port to listen on.")
@click.option("--admin-port", type=int, metavar="N", help="Port of the admin listener.")
@click.option("--workers", type=int, metavar="N", help="Processes that share the port.")
@click.option("--loop", type=click.Choice(["uvloop", "asyncio"]), help="Event loop.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="A TOML file of settings.")
def serve(config: Path | None, **options: object) -> None:
    """Serves the spatial tables of a database."""
    settings = load_settings(config, **options)
    with some_database(settings) as served:
        start(served)


@main.command()
@click.argument("direction", type=click.Choice(["up", "down", "status"]), default="up")
@click.option("--database-url", metavar="URL", help="The database to migrate.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="A TOML file of settings.")
@click.option("--expand-only", is_flag=True, help="up: stop before what must wait until no old version runs.")
def migrate(direction: str, config: Path | None, expand_only: bool, **options: object) -> None:
    """Migrates the schema `geosvc`: up to the newest, down by one, or its status."""
    settings = load_settings(config, **options)
    with some_database(settings) as served:
        _migrate(direction, served, expand_only)


def _direct_url(settings: Settings, who_needs: str) -> str:
    """The database itself, past a pooler. Raises: StartError."""
    chosen = settings.direct_database_url or settings.database_url
    if chosen is None or (settings.pgbouncer and settings.direct_database_url is None):
        raise StartError(f"behind PgBouncer, {who_needs} GEOSVC_DIRECT_DATABASE_URL")
    return chosen.get_secret_value()


def _migrate(direction: str, settings: Settings, expand_only: bool) -> None:
    # Alembic and SQLAlchemy take a third of a second to import, which `serve` need not wait for
    from geosvc.database.migrations import migrate_down, migrate_up, migration_status  # noqa: PLC0415

    url = _direct_url(settings, "migrations need")
    if direction == "up":
        migrate_up(settings, url, expand_only=expand_only)
    elif direction == "down":
        migrate_down(settings, url)
    for revision in migration_status(settings, url):
        state = "applied" if revision.applied else "pending"
        click.echo(f"{revision.revision}  {state:8}  {revision.phase:8}  {revision.title}")


@main.command()
@click.argument("collection")
@click.option("--database-url", metavar="URL", help="The database. None: the private PostGIS.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="A TOML file of settings.")
def publish(collection: str, config: Path | None, **options: object) -> None:
    """Logs the changes of COLLECTION from now on, for live maps and caches; again: mends its triggers."""
    settings = load_settings(config, **options)
    with some_database(settings) as served:
        _publish(served, collection)


def _publish(settings: Settings, collection: str) -> None:
    from geosvc.database.publishing import publish as begin  # noqa: PLC0415 - `serve` need not wait for it

    done = asyncio.run(begin(settings, _direct_url(settings, "publishing needs"), collection))
    for warning in done.warnings:
        click.echo(f"geosvc: {warning}", err=True)
    parts = f" and its {done.parts} parts" if done.parts else ""
    click.echo(f"{collection} is published: changes of {done.relation}{parts} are logged as publication {done.publication}")


@main.command()
@click.argument("collection")
@click.option("--database-url", metavar="URL", help="The database. None: the private PostGIS.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="A TOML file of settings.")
def unpublish(collection: str, config: Path | None, **options: object) -> None:
    """Logs the changes of COLLECTION no longer, and leaves nothing in its table."""
    settings = load_settings(config, **options)
    with some_database(settings) as served:
        _unpublish(served, collection)


def _unpublish(settings: Settings, collection: str) -> None:
    from geosvc.database.publishing import unpublish as end  # noqa: PLC0415 - `serve` need not wait for it

    done = asyncio.run(end(settings, _direct_url(settings, "publishing needs"), collection))
    click.echo(f"{collection} is no longer published: nothing is left in {done.relation}")


@main.command()
@click.option("--database-url", metavar="URL", help="The database to examine. None: the private PostGIS.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="A TOML file of settings.")
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of a table.")
def check(config: Path | None, as_json: bool, **options: object) -> None:
    """The doctor: what is not as it should be, with the SQL that mends it. Exit status 1 on an error."""
    settings = load_settings(config, **options)
    with some_database(settings) as served:
        failed = run_check(served, as_json)
    sys.exit(1 if failed else 0)


@main.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--since", metavar="SPAN", help="Only lines of the last SPAN, such as 30m, 1h or 2d.")
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of a table.")
def slow(file: IO[bytes], since: str | None, as_json: bool) -> None:
    """The slow-query log in FILE, or of standard input, aggregated: what costs most, and what would help."""
    try:
        begin = datetime.now(UTC) - parse_span(since) if since else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    log = read_slow_log(file, begin)
    if as_json:
        click.echo(orjson.dumps(describe_slow_log(log), option=orjson.OPT_INDENT_2))
    else:
        console = Console(highlight=False)
        print_slow_log(log, console if console.is_terminal else Console(highlight=False, width=160))


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE...")
@click.option("--collection", required=True, metavar="NAME", help="The table, in the first schema, or schema.table.")
@click.option("--srid", type=click.IntRange(1), metavar="N", help="The EPSG code of coordinates whose file does not say.")
@click.option("--layer", metavar="NAME", help="The layer, of files that have several.")
@click.option("--append", "how", flag_value="append", help="To a table that is there.")
@click.option("--replace", "how", flag_value="replace", help="Instead of a table that is there: it is dropped.")
@click.option("--create", "how", flag_value="create", default=True, help="Into a new table (the default).")
@click.option("--publish", "publishes", is_flag=True, help="Publish the collection as well, as `geosvc publish` does.")
@click.option("--database-url", metavar="URL", help="The database. None: the private PostGIS.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="A TOML file of settings.")
def load(files: tuple[Path, ...], *, config: Path | None, how: str, publishes: bool, **where: Any) -> None:
    """Loads files into a table, all of them or nothing: GeoJSON, text sequences, CSV, and what GDAL reads."""
    settings = load_settings(config, database_url=where.pop("database_url"))
    with some_database(settings) as served:
        _load(served, files, how, publishes, where)


def _load(settings: Settings, files: tuple[Path, ...], how: str, publishes: bool, where: dict[str, Any]) -> None:
    from geosvc.loading import LoadOptions, load_files  # noqa: PLC0415 - shapely's readers, which `serve` need not wait for

    if publishes:
        _direct_url(settings, "publishing needs")  # said before anything is loaded
    wanted = LoadOptions(files, append=how == "append", replace=how == "replace", **where)
    loaded = load_files(settings, wanted)
    click.echo(f"{loaded.features} features into {wanted.collection}")
    if publishes or loaded.was_published:
        _publish(settings, wanted.collection.removeprefix(f"{settings.schemas[0]}."))


@main.command("dev-db")
@click.argument("action", type=click.Choice(["start", "stop", "status", "url", "reset"]))
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="A TOML file of settings.")
@click.option("--yes", is_flag=True, help="reset: without asking.")
def dev_db(action: str, config: Path | None, yes: bool) -> None:
    """The private PostgreSQL + PostGIS: start, stop, status, url, reset."""
    cluster = cluster_of(load_settings(config))
    if action == "start":
        cluster.start()
        cluster.ensure_database()
        click.echo(cluster.url())
    elif action == "stop":
        cluster.stop()
    elif action == "status":
        running = cluster.is_running()
        click.echo(f"{'running' if running else 'stopped'}: {cluster.folder}")
        sys.exit(0 if running else 3)
    elif action == "url":
        click.echo(cluster.url())
    else:
        if not yes:
            click.confirm(f"Remove {cluster.folder} with all its data?", abort=True)
        cluster.remove()
