"""`geosvc load`: loads files into a table, all of them or nothing.

The features are stored in the same way as those that clients post.
"""

import asyncio
from dataclasses import dataclass

from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from geosvc.commands.load_options import FileState, LoadOptions, OpenedFile
from geosvc.commands.load_transaction import TableLoad
from geosvc.settings import Settings
from geosvc.sources import open_source


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded.

    Attributes:
        features: how many.
        was_published: whether a table was replaced whose changes were logged.
    """

    features: int
    was_published: bool


def load_files(settings: Settings, options: LoadOptions) -> Loaded:
    """Loads files, with a progress bar. Raises: StartError; nothing is stored then."""
    with _progress_bar() as progress:
        files = _open_files(options, progress)
        load = TableLoad(settings, options, files, progress)
        report = asyncio.run(load.run())
        notes = list(load.notes)
        for file in files:
            notes += file.source.notes
        for note in notes:
            progress.console.print(
                note, style="yellow", markup=False, highlight=False, soft_wrap=True
            )
        return Loaded(report.created, load.was_published)


def _progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def _open_files(options: LoadOptions, progress: Progress) -> list[OpenedFile]:
    """Reads the schemas of all files. Raises: StartError."""
    task = progress.add_task("reading the schemas", total=len(options.files), rate="")
    files: list[OpenedFile] = []
    for path in options.files:
        state = FileState.of(path)
        source = open_source(path, options.srid, options.layer, options.encoding)
        files.append(OpenedFile(path, state, source))
        progress.advance(task)
    return files
