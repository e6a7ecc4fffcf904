"""`geosvc check`: runs the doctor and shows the findings."""

import asyncio
import sys
from dataclasses import asdict

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from geosvc.database.doctor import Doctor, Report
from geosvc.errors import StartError
from geosvc.model.finding import Finding
from geosvc.settings import Settings

_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_WIDTH = 150


def run_check(settings: Settings, as_json: bool) -> bool:
    """Examines the database of the settings and writes the findings. Returns whether one is an error."""
    assert settings.database_url is not None
    report = asyncio.run(Doctor(settings, settings.database_url.get_secret_value()).examine())
    if "server" in report.checked:
        report.findings += _pending_migrations(settings)
    if as_json:
        findings = [asdict(each) for each in report.findings]
        document = {"findings": findings, "checked": report.checked, "collections": report.collections}
        sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        console = Console(highlight=False)
        print_report(report, console if console.is_terminal else Console(highlight=False, width=_WIDTH))
    return report.failed


def _pending_migrations(settings: Settings) -> list[Finding]:
    """Geosvc's own schema, if it is behind."""
    # Alembic and SQLAlchemy take a third of a second to import
    from geosvc.database.migrations import migration_status  # noqa: PLC0415

    chosen = settings.direct_database_url or settings.database_url
    if chosen is None or (settings.pgbouncer and settings.direct_database_url is None):
        return []
    try:
        pending = [each for each in migration_status(settings, chosen.get_secret_value()) if not each.applied]
    except StartError as error:
        return [Finding("warning", "check-failed", "migrations", str(error).partition("\n")[0])]
    if not pending:
        return []
    text = f"geosvc's own schema lacks {len(pending)} of its migrations (reading needs none): geosvc migrate up"
    return [Finding("info", "pending-migrations", "schema geosvc", text)]


def print_report(report: Report, console: Console) -> None:
    """A table for people."""
    for each in report.findings:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(width=8, no_wrap=True)
        table.add_column(ratio=1)
        table.add_row(
            Text(each.severity, style=_STYLES[each.severity]),
            Text.assemble((each.code, "bold"), f"  {each.subject}\n{each.text}"),
        )
        if each.sql:
            table.add_row("", Text(f"{each.sql};", style="green"))
        console.print(table)
    counts = ", ".join(f"{sum(each.severity == kind for each in report.findings)} {kind}" for kind in _STYLES)
    console.print(f"{report.collections} collections examined: {counts}")
