"""A finding of `geosvc check`, and the terms that all findings use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]

Facts = Mapping[str, Any]
"""A row of one of the statements sql/check_*.sql, decoded from JSON."""

Quote = Callable[..., str]
"""Writes a name, with its schema if given, as SQL does."""

MANY_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that was found.

    Attributes:
        subject: a relation, a setting or the server.
        sql: the commands that solve it; None when no SQL does.
    """

    severity: Severity
    code: str
    subject: str
    text: str
    sql: str | None = None


def subject_of(relation: Facts) -> str:
    """The name of a relation for people."""
    return f"{relation['schema']}.{relation['name']}"


def quoted_table(relation: Facts, quote: Quote) -> str:
    """The name of a relation as SQL writes it."""
    return quote(relation["schema"], relation["name"])
