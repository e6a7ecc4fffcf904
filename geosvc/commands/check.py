"""`geosvc check`: runs the doctor and prints the findings."""

import asyncio
import sys
from collections import Counter
from dataclasses import asdict

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from geosvc.advice.findings import Finding
from geosvc.database.doctor import CheckReport, Doctor
from geosvc.errors import StartError
from geosvc.settings import Settings

_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_WIDTH = 150  # columns, where the output is not a terminal


def run_check(settings: Settings, as_json: bool) -> bool:
    """Examines the database of the settings and writes the findings.

    Returns: whether one is an error.
    """
    assert settings.database_url is not None
    report = asyncio.run(Doctor(settings, settings.database_url.get_secret_value()).examine())
    if "server" in report.checked:
        report.findings += _pending_migrations(settings)
    if as_json:
        _write_json(report)
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=_WIDTH)
        print_report(report, console)
    return report.failed


def _write_json(report: CheckReport) -> None:
    document = {
        "findings": [asdict(finding) for finding in report.findings],
        "checked": report.checked,
        "collections": report.collections,
    }
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")


def _pending_migrations(settings: Settings) -> list[Finding]:
    """A finding about the schema of geosvc itself, if migrations are pending."""
    # Alembic and SQLAlchemy take a third of a second to import.
    from geosvc.database.migrations import migration_status  # noqa: PLC0415

    database_url = settings.direct_database_url or settings.database_url
    is_behind_pooler = settings.pgbouncer and settings.direct_database_url is None
    if database_url is None or is_behind_pooler:
        return []
    try:
        revisions = migration_status(settings, database_url.get_secret_value())
    except StartError as error:
        first_line = str(error).partition("\n")[0]
        return [Finding("warning", "check-failed", "migrations", first_line)]
    pending = [revision for revision in revisions if not revision.applied]
    if not pending:
        return []
    text = (
        f"geosvc's own schema lacks {len(pending)} of its migrations (reading needs none): "
        "geosvc migrate up"
    )
    return [Finding("info", "pending-migrations", "schema geosvc", text)]


def print_report(report: CheckReport, console: Console) -> None:
    """Prints the findings as tables."""
    for finding in report.findings:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(width=8, no_wrap=True)
        table.add_column(ratio=1)
        table.add_row(
            Text(finding.severity, style=_STYLES[finding.severity]),
            Text.assemble((finding.code, "bold"), f"  {finding.subject}\n{finding.text}"),
        )
        if finding.sql:
            table.add_row("", Text(f"{finding.sql};", style="green"))
        console.print(table)
    numbers = Counter[str](finding.severity for finding in report.findings)
    counts = ", ".join(f"{numbers[severity]} {severity}" for severity in _STYLES)
    console.print(f"{report.collections} collections examined: {counts}")
