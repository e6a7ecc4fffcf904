"""Findings about published tables and the change log."""

import json
from collections.abc import Iterator

from geosvc.advice.findings import Facts, Finding, Quote, subject_of

LOG_SLACK_SECONDS = 3_600.0
_OPERATIONS = ("insert", "update", "delete", "truncate")


def judge_publication(
    facts: Facts, collection: str, key: tuple[str, ...] | None
) -> Iterator[Finding]:
    """Whether all changes of a published table are logged correctly.

    Args:
        facts: a row of sql/check_publications.sql.
        collection: the argument of `geosvc publish` for the table.
        key: the current key of the collection; None when it is not served.
    """
    if facts["name"] is None:
        yield _orphaned(facts["publication"])
        return
    subject, publish = subject_of(facts), f"geosvc publish {collection}"
    if facts["unlogged"]:
        names = ", ".join(facts["unlogged"][:5])
        text = f"changes of {names} are not logged, because triggers are missing: {publish}"
        yield Finding("warning", "publication-incomplete", subject, text)
    if facts["strays"]:
        names = ", ".join(facts["strays"][:5])
        yield Finding(
            "warning",
            "publication-incomplete",
            subject,
            f"changes of {names}, which is not a part of the table any more, are logged as its "
            f"own: {publish}",
        )
    outdated = _why_outdated(facts, key)
    if outdated is not None:
        yield Finding("warning", "publication-outdated", subject, f"{outdated}: {publish}")
    if facts["subscription"] is not None:
        yield Finding(
            "warning",
            "publication-subscribed",
            subject,
            f"changes by the subscription {facts['subscription']} fire no trigger, so they are "
            "not logged: publish the table where it is changed",
        )


def _orphaned(publication: int) -> Finding:
    """The finding for a publication whose table was dropped."""
    functions = ", ".join(f"geosvc.change_{publication}_{name}" for name in _OPERATIONS)
    delete = f"DELETE FROM geosvc.publication WHERE id = {publication}"  # noqa: S608 - a number
    return Finding(
        "info",
        "publication-orphaned",
        f"publication {publication}",
        f"the table of publication {publication} is gone, and its functions are left",
        f"DROP FUNCTION {functions}; {delete}",
    )


def _why_outdated(facts: Facts, key: tuple[str, ...] | None) -> str | None:
    """How the triggers of a table differ from the table; None when they do not."""
    try:
        logged_columns = json.loads(facts["state"])
        logged_key = tuple(json.loads(facts["more"])["key"])
    except (KeyError, TypeError, ValueError):
        return "the comments of its functions were not written by geosvc"
    columns = facts["columns"]
    dropped = [column for column in logged_columns if column not in columns]
    if dropped:
        return (
            f"it has no column {', '.join(dropped)} any more, and its changes are logged without "
            "their values"
        )
    added = [column for column in columns if column not in logged_columns]
    if added:
        return f"its column {', '.join(added)} is not logged"
    if logged_key and key is not None and logged_key != key:
        current = ", ".join(key) or "missing"
        return f"its key is {current}, and changes are logged by {', '.join(logged_key)}"
    return None


def judge_log(log: Facts, role: str, quote: Quote) -> Iterator[Finding]:
    """The rights of the service's role on the change log.

    Args:
        log: a row of sql/check_log.sql.
    """
    grantee = quote(role)
    if not log["readable"]:
        yield Finding(
            "warning",
            "change-log-not-readable",
            "geosvc.change",
            f"the role {role} may not read the log, so subscribers receive no changes and "
            "nothing is cached",
            f"GRANT USAGE ON SCHEMA geosvc TO {grantee}; "
            f"GRANT SELECT ON geosvc.change, geosvc.publication TO {grantee}",
        )
    elif not log["prunable"]:
        yield Finding(
            "warning",
            "change-log-not-pruned",
            "geosvc.change",
            f"the role {role} may not delete old changes, so the log grows",
            f"GRANT DELETE ON geosvc.change TO {grantee}; "
            f"GRANT UPDATE ON geosvc.publication TO {grantee}",
        )


def judge_log_size(
    rows: int, age_seconds: float, most_rows: int, retention_seconds: float
) -> Iterator[Finding]:
    """Whether a service prunes the change log.

    Args:
        age_seconds: of the oldest change.
        most_rows, retention_seconds: the limits of the settings.
    """
    if age_seconds > 2 * retention_seconds + LOG_SLACK_SECONDS:
        reason = f"its oldest change is {age_seconds / 3600:.0f} hours old"
    elif rows > 2 * most_rows:
        reason = f"it holds about {rows} changes"
    else:
        return
    yield Finding(
        "warning",
        "change-log-not-pruned",
        "geosvc.change",
        f"{reason}: no running service prunes it, or pruning is too slow",
    )
