"""`geosvc demo`: a private database with sample data, and examples of what it can do.

If a database is named, it is served as it is, and nothing is loaded into it.
"""

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from geosvc.commands.samples import SKETCHES, TABLES, load_with_progress, make_sketches
from geosvc.database.changefeed.publishing import publish
from geosvc.database.migrations import migrate_up
from geosvc.errors import StartError
from geosvc.events import Event, ServerStarted
from geosvc.settings import Settings

console = Console(stderr=True, highlight=False)
_PATHS = (
    "/",
    "/collections/countries/items?bbox=5,45,12,52",
    "/collections/cities/items?sortby=-population&limit=5",
    f"/collections/{SKETCHES}/items",
)
_EDIT = "UPDATE countries SET geom = ST_Translate(geom, 0, 1) WHERE adm0_a3 = 'CHE'"
_SKETCH = (
    '{"type":"Feature","geometry":{"type":"Point","coordinates":[24.94,60.17]},'
    '"properties":{"name":"Railway station"}}'
)


def own_command() -> str:
    """The command that runs this program in another terminal in the same folder."""
    script = Path(".venv/bin/geosvc")
    if script.is_file() and Path(".venv").resolve() == Path(sys.prefix).resolve():
        return str(script)
    return "geosvc" if shutil.which("geosvc") else f"{sys.executable} -m geosvc"


async def _publish_tables(settings: Settings, url: str) -> list[str]:
    """Publishes the tables, so that their changes are logged.

    Prints what prevents it, and goes on with the next table.
    Returns: the published tables.
    """
    published = []
    for table in (*TABLES, SKETCHES):
        try:
            await publish(settings, url, table)
            published.append(table)
        except StartError as error:
            console.print(f"{table} is not live: {error}", markup=False)
    return published


def prepare_demo(settings: Settings, url: str) -> tuple[Settings, Callable[[Event], None]]:
    """Fills a database with the sample data.

    Returns: the settings to serve it with; a subscriber of events that prints examples when the
        server has started.
    Raises: StartError.
    """
    migrate_up(settings, url)
    if load_with_progress(settings, url):
        console.print("The sample data is loaded.")
    asyncio.run(make_sketches(settings, url))
    published = asyncio.run(_publish_tables(settings, url))
    if "writable" not in settings.model_fields_set:
        settings = settings.model_copy(update={"writable": (SKETCHES,)})

    def announce(event: Event) -> None:
        if isinstance(event, ServerStarted):
            _print_examples(event.url, live="countries" in published)

    return settings, announce


def _print_examples(url: str, *, live: bool) -> None:
    console.print("\n[bold]Try:[/bold]")
    for path in _PATHS:
        console.print(f"  {url}{path}", soft_wrap=True)
    if live:
        console.print(
            "\n[bold]Live:[/bold] edit the countries in another terminal, with their page open:"
        )
        edit = f'psql "$({own_command()} dev-db url)" -c "{_EDIT}"'
        console.print(f"  {edit}", soft_wrap=True, markup=False)
        console.print(f"  curl -N {url}/collections/countries/changes", soft_wrap=True)
    console.print("\n[bold]Write:[/bold] the sketches can be changed:", soft_wrap=True)
    post = (
        f"curl -i {url}/collections/{SKETCHES}/items "
        f"-H 'Content-Type: application/geo+json' -d '{_SKETCH}'"
    )
    console.print(f"  {post}", soft_wrap=True, markup=False)
    console.print("\nCtrl-C ends it.\n")
