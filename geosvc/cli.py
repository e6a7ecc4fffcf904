"""The command `geosvc`."""

import asyncio
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
import orjson
from rich.console import Console

from geosvc import __version__
from geosvc.app import check_routes
from geosvc.commands.check import run_check
from geosvc.commands.chosen_database import direct_url, open_database, private_cluster
from geosvc.commands.slow import describe_slow_log, parse_span, print_slow_log, read_slow_log
from geosvc.database.probe import require_database
from geosvc.errors import StartError
from geosvc.events import subscribe
from geosvc.server.serve import run
from geosvc.server.supervisor import supervise
from geosvc.settings import Settings, load_settings
from geosvc.signals import exit_status, interrupted_by_any

if TYPE_CHECKING:
    from geosvc.commands.tile_archive import ArchiveOptions

_SLOW_WIDTH = 160  # columns, where the output is not a terminal
_NOT_RUNNING = 3  # exit status of `dev-db status`, as of init scripts

_config_option = click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="A TOML file of settings."
)
_database_option = click.option(
    "--database-url", metavar="URL", help="The database. Default: the private PostGIS."
)
_host_option = click.option("--host", metavar="H", help="Address to listen on.")
_port_option = click.option("--port", type=int, metavar="N", help="Port to listen on.")
_admin_port_option = click.option(
    "--admin-port", type=int, metavar="N", help="Port of the admin listener."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, not as a table.")


class Geosvc(click.Group):
    """The command. It prints an error in a line, without a stack."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a subcommand.

        The exit status is 1 after a StartError, and 128 and its number after a signal.
        """
        try:
            with interrupted_by_any():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            with suppress(OSError):  # the terminal may be closed
                click.echo("geosvc: stopped", err=True)
            sys.exit(exit_status())
        except StartError as error:
            for line in str(error).splitlines():
                click.echo(f"geosvc: {line}", err=True)
            sys.exit(1)


@click.group(cls=Geosvc, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Puts a PostGIS database on the web: spatial tables as GeoJSON."""


def start(settings: Settings) -> None:
    """Serves in this process, or in several under a supervisor."""
    check_routes(settings)
    if settings.require_database:
        asyncio.run(require_database(settings))
    if settings.workers > 1:
        supervise(settings)
    else:
        run(settings)


@main.command()
@click.argument("dsn", required=False, metavar="[URL]")
@click.option(
    "--database-url", metavar="URL", help="The same as URL. Default: a private PostGIS is started."
)
@click.option(
    "--require-database",
    is_flag=True,
    default=None,
    help="End when the database cannot be reached.",
)
@_host_option
@_port_option
@_admin_port_option
@click.option("--workers", type=int, metavar="N", help="Processes that share the port.")
@click.option("--loop", type=click.Choice(["uvloop", "asyncio"]), help="Event loop.")
@_config_option
def serve(dsn: str | None, config: Path | None, **options: object) -> None:
    """Serves the spatial tables of the database at URL.

    An example of a URL is postgresql://reader@db.example.org/gis.
    """
    if dsn is not None and options["database_url"] not in (None, dsn):
        raise click.UsageError("URL and --database-url name two databases")
    options["database_url"] = options["database_url"] or dsn
    settings = load_settings(config, **options)
    with open_database(settings) as opened:
        start(opened)


@main.command()
@_host_option
@_port_option
@_admin_port_option
def demo(**options: Any) -> None:
    """Serves sample data from a private PostGIS. Clients can write to the collection sketches."""
    # `serve` need not wait for the import
    from geosvc.commands.demo import prepare_demo  # noqa: PLC0415

    settings = load_settings(**options)
    if settings.database_url is not None:
        click.echo(
            "geosvc: serving the database of GEOSVC_DATABASE_URL as it is; "
            "no sample data is loaded",
            err=True,
        )
        start(settings)
        return
    with open_database(settings) as opened:
        assert opened.database_url is not None
        demo_settings, announce = prepare_demo(opened, opened.database_url.get_secret_value())
        subscribe(announce)
        start(demo_settings)


@main.command()
@click.argument("direction", type=click.Choice(["up", "down", "status"]), default="up")
@click.option("--database-url", metavar="URL", help="The database to migrate.")
@_config_option
@click.option(
    "--expand-only",
    is_flag=True,
    help="up: stop before migrations that must wait until no old version runs.",
)
def migrate(direction: str, config: Path | None, expand_only: bool, **options: object) -> None:
    """Migrates the schema `geosvc`: up to the newest version, down by one, or its status."""
    settings = load_settings(config, **options)
    with open_database(settings) as opened:
        _migrate(direction, opened, expand_only)


def _migrate(direction: str, settings: Settings, expand_only: bool) -> None:
    # Alembic and SQLAlchemy take a third of a second to import, which `serve` need not wait for.
    from geosvc.database.migrations import (  # noqa: PLC0415
        migrate_down,
        migrate_up,
        migration_status,
    )

    url = direct_url(settings, "migrations need")
    if direction == "up":
        migrate_up(settings, url, expand_only=expand_only)
    elif direction == "down":
        migrate_down(settings, url)
    for revision in migration_status(settings, url):
        state = "applied" if revision.applied else "pending"
        click.echo(f"{revision.revision}  {state:8}  {revision.phase:8}  {revision.title}")


@main.command()
@click.argument("collection")
@_database_option
@_config_option
def publish(collection: str, config: Path | None, **options: object) -> None:
    """Logs the changes of COLLECTION from now on, for live maps and caches.

    A second call repairs its triggers.
    """
    settings = load_settings(config, **options)
    with open_database(settings) as opened:
        _publish(opened, collection)


def _publish(settings: Settings, collection: str) -> None:
    # `serve` need not wait for the import
    from geosvc.database.changefeed import publishing  # noqa: PLC0415

    url = direct_url(settings, "publishing needs")
    done = asyncio.run(publishing.publish(settings, url, collection))
    for warning in done.warnings:
        click.echo(f"geosvc: {warning}", err=True)
    tables = done.relation
    if done.parts:
        tables += f" and its {done.parts} parts"
    click.echo(
        f"{collection} is published: "
        f"changes of {tables} are logged as publication {done.publication}"
    )


@main.command()
@click.argument("collection")
@_database_option
@_config_option
def unpublish(collection: str, config: Path | None, **options: object) -> None:
    """Stops logging the changes of COLLECTION, and removes the triggers from its table."""
    settings = load_settings(config, **options)
    with open_database(settings) as opened:
        _unpublish(opened, collection)


def _unpublish(settings: Settings, collection: str) -> None:
    # `serve` need not wait for the import
    from geosvc.database.changefeed import publishing  # noqa: PLC0415

    url = direct_url(settings, "publishing needs")
    done = asyncio.run(publishing.unpublish(settings, url, collection))
    click.echo(f"{collection} is no longer published: nothing is left in {done.relation}")


@main.command()
@click.option(
    "--database-url", metavar="URL", help="The database to examine. Default: the private PostGIS."
)
@_config_option
@_json_option
def check(config: Path | None, as_json: bool, **options: object) -> None:
    """Reports problems of the database, with the SQL that solves them.

    The exit status is 1 if one is an error.
    """
    settings = load_settings(config, **options)
    with open_database(settings) as opened:
        has_errors = run_check(opened, as_json)
    sys.exit(1 if has_errors else 0)


@main.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--since", metavar="SPAN", help="Only lines of the last SPAN, such as 30m, 1h or 2d.")
@_json_option
def slow(file: IO[bytes], since: str | None, as_json: bool) -> None:
    """Aggregates the slow-query log in FILE, or of standard input.

    It shows which statements take most time, and what would make them faster.
    """
    begin = None
    if since:
        try:
            begin = datetime.now(UTC) - parse_span(since)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--since") from None
    log = read_slow_log(file, begin)
    if as_json:
        click.echo(orjson.dumps(describe_slow_log(log), option=orjson.OPT_INDENT_2))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_SLOW_WIDTH)
    print_slow_log(log, console)


@main.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE...",
)
@click.option(
    "--collection",
    required=True,
    metavar="NAME",
    help="The table, in the first schema, or schema.table.",
)
@click.option(
    "--srid",
    type=click.IntRange(1),
    metavar="N",
    help="The EPSG code of coordinates whose file does not say.",
)
@click.option("--layer", metavar="NAME", help="The layer, of files that have several.")
@click.option(
    "--encoding", metavar="NAME", help="Of texts in files that do not say, such as windows-1252."
)
@click.option(
    "--types",
    metavar="NAME=TYPE,...",
    help="Types of columns, such as zip=text,height=float8; *=text for all others.",
)
@click.option(
    "--json",
    "json_column",
    metavar="NAME",
    help="All properties as one JSON object in this column.",
)
@click.option("--append", "mode", flag_value="append", help="Into a table that exists.")
@click.option("--replace", "mode", flag_value="replace", help="Drop the table first, if it exists.")
@click.option(
    "--create", "mode", flag_value="create", default=True, help="Into a new table (the default)."
)
@click.option(
    "--publish",
    "publishes",
    is_flag=True,
    help="Publish the collection as well, as `geosvc publish` does.",
)
@_database_option
@_config_option
def load(
    files: tuple[Path, ...], *, config: Path | None, mode: str, publishes: bool, **options: Any
) -> None:
    """Loads files into a table, all of them or nothing.

    The formats are GeoJSON, text sequences, CSV, and those that GDAL reads.
    """
    settings = load_settings(config, database_url=options.pop("database_url"))
    options["types"] = _parse_types(options["types"])
    _check_encoding(options["encoding"])
    with open_database(settings) as opened:
        _load(opened, files, mode, publishes, options)


def _parse_types(text: str | None) -> dict[str, Any]:
    # It imports shapely, which `serve` need not wait for.
    from geosvc.sources.fitting import parse_types  # noqa: PLC0415

    if text is None:
        return {}
    try:
        return dict(parse_types(text))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--types") from None


def _check_encoding(name: str | None) -> None:
    """Raises: click.BadParameter for an encoding that is not known, or not of texts."""
    if name is None:
        return
    try:
        "".encode(name)
        b"".decode(name)
    except (LookupError, ValueError):
        raise click.BadParameter(f"unknown encoding {name}", param_hint="--encoding") from None


def _load(
    settings: Settings,
    files: tuple[Path, ...],
    mode: str,
    publishes: bool,
    options: dict[str, Any],
) -> None:
    # They import shapely, which `serve` need not wait for.
    from geosvc.commands.load import load_files  # noqa: PLC0415
    from geosvc.commands.load_options import LoadOptions  # noqa: PLC0415

    if publishes:
        direct_url(settings, "publishing needs")  # fails before anything is loaded
    load_options = LoadOptions(files, append=mode == "append", replace=mode == "replace", **options)
    loaded = load_files(settings, load_options)
    collection = load_options.collection
    click.echo(f"{loaded.features} features into {collection}")
    if publishes or loaded.was_published:
        _publish(settings, collection.removeprefix(f"{settings.schemas[0]}."))


@main.command()
@click.argument("collection")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.pmtiles",
    help="The archive.",
)
@click.option(
    "--zoom", default="0-14", show_default=True, metavar="MIN-MAX", help="The first and last zoom."
)
@click.option(
    "--filter", "condition", metavar="CQL2", help="Only features that fulfil it: name LIKE 'A%'."
)
@click.option("--properties", metavar="A,B", help="Only these properties.")
@click.option("--force", is_flag=True, help="Replace the archive, if it exists.")
@click.option(
    "--connections",
    type=click.IntRange(1, 32),
    default=2,
    show_default=True,
    metavar="N",
    help="Tiles that are made at a time.",
)
@_database_option
@_config_option
def tiles(
    collection: str,
    *,
    output: Path,
    zoom: str,
    condition: str | None,
    properties: str | None,
    force: bool,
    connections: int,
    config: Path | None,
    **options: Any,
) -> None:
    """Writes the vector tiles of COLLECTION into one PMTiles file.

    All tiles show the same moment. Without features there is no tile.
    """
    settings = load_settings(config, **options)
    values: dict[str, str] = {}
    if condition is not None:
        values["filter"] = condition
    if properties is not None:
        values["properties"] = properties
    zooms = _parse_zooms(zoom)
    # it imports what `serve` need not wait for
    from geosvc.commands.tile_archive import ArchiveOptions  # noqa: PLC0415

    archive_options = ArchiveOptions(collection, output, *zooms, values, force, connections)
    with open_database(settings) as opened:
        _archive_tiles(opened, archive_options)


def _parse_zooms(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,2})-([0-9]{1,2})", text)
    if match is None or int(match[1]) > int(match[2]):
        raise click.BadParameter("takes two zooms, such as 0-14", param_hint="--zoom")
    return int(match[1]), int(match[2])


def _archive_tiles(settings: Settings, options: "ArchiveOptions") -> None:
    from geosvc.commands.tile_archive import archive_tiles  # noqa: PLC0415

    done = archive_tiles(settings, direct_url(settings, "an archive needs"), options)
    if done.incomplete:
        click.echo(
            f"geosvc: {done.incomplete} tiles lack features whose geometries PostGIS refuses:"
            f" {done.reason}",
            err=True,
        )
    click.echo(
        f"{done.tiles} tiles of {options.collection} into {options.path}:"
        f" {done.contents} different ones, {done.bytes} bytes"
    )


@main.command("dev-db")
@click.argument("action", type=click.Choice(["start", "stop", "status", "url", "reset"]))
@_config_option
@click.option("--yes", is_flag=True, help="reset: without a question.")
def dev_db(action: str, config: Path | None, yes: bool) -> None:
    """The private PostgreSQL + PostGIS: start, stop, status, url, reset."""
    cluster = private_cluster(load_settings(config))
    if action == "start":
        cluster.start_for_good()
        cluster.ensure_database()
        click.echo(cluster.url())
    elif action == "stop":
        cluster.stop()
    elif action == "status":
        is_running = cluster.is_running()
        click.echo(f"{'running' if is_running else 'stopped'}: {cluster.folder}")
        sys.exit(0 if is_running else _NOT_RUNNING)
    elif action == "url":
        click.echo(cluster.url())
    else:
        if not yes:
            click.confirm(f"Remove {cluster.folder} with all its data?", abort=True)
        cluster.remove()
