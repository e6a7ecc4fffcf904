"""Advice where the planner knows too little: statistics, values of parameters, functions."""

from collections.abc import Iterator

from geosvc.advice.evidence import (
    FAR_OFF,
    MANY_ROWS,
    Advice,
    Diagnosis,
    Evidence,
    Relation,
    quote,
    table_of,
)
from geosvc.advice.plan import Node, functions_of, parameters_of, relations_of

_HARMLESS = frozenset(
    {"random", "clock_timestamp", "timeofday", "nextval", "set_config", "currval"}
)
_PASSES_ROWS_ON = frozenset({"Limit", "Result", "Sort", "Incremental Sort", "Subquery Scan"})


def stale_statistics(evidence: Evidence) -> Iterator[Advice]:
    """The planner's estimate is far from the number of rows, and its statistics are old."""
    plan, rows = evidence.diagnosis.plan, evidence.rows
    if plan is None or rows is None:
        return
    expected = _source_of(plan).rows
    if _has_aggregate(plan) or not _is_far_off(plan, rows, expected):
        return
    for name in relations_of(plan):
        relation = evidence.diagnosis.relations.get(name)
        if relation is None or not _is_stale(relation):
            continue
        reason = "it was never analysed"
        if relation["analysed"]:
            reason = "its statistics are out of date"
        yield Advice(
            "stale-statistics",
            f"the planner expected {expected:.0f} rows, but the query returned {rows}. "
            f"{table_of(relation)}: {reason}.",
            f"ANALYZE {quote(relation['schema'], relation['name'])}",
        )


def _has_aggregate(plan: Node) -> bool:
    """Whether the rows of the result are not those of a relation."""
    return "Aggregate" in [node.kind for node in plan.walk()]


def _source_of(plan: Node) -> Node:
    """The first node from the top that makes rows, and not only limits or sorts them."""
    source = plan
    while source.kind in _PASSES_ROWS_ON and source.steps:
        source = source.steps[0]
    return source


def _is_far_off(plan: Node, rows: int, expected: float) -> bool:
    """Whether the number of rows is far above or far below the planner's estimate."""
    if rows > max(expected, 1) * FAR_OFF:
        return True
    # a LIMIT that was reached ended the query before all rows were counted
    if plan.kind == "Limit" and rows >= plan.rows:
        return False
    return expected > MANY_ROWS and expected > max(rows, 1) * FAR_OFF


def _is_stale(relation: Relation) -> bool:
    """Whether a large part of a relation has changed since ANALYZE."""
    if not relation["analysed"]:
        return True
    return bool(relation["changed"] > max(relation["rows"], MANY_ROWS) / FAR_OFF)


def generic_plan(evidence: Evidence) -> Iterator[Advice]:
    """The plan was made without the values of its parameters."""
    diagnosis = evidence.diagnosis
    for name, function in diagnosis.functions.items():
        if function["generic"] and function["own"]:
            yield Advice(
                "generic-plan",
                f"the function {name} plans its statements without their values "
                "(plan_cache_mode), and PostGIS cannot estimate an unknown box.",
                f"ALTER FUNCTION {function['signature']} SET plan_cache_mode = force_custom_plan",
            )
    plan = diagnosis.plan
    if plan is not None and _reads_tables(plan, diagnosis) and parameters_of(plan):
        yield Advice(
            "generic-plan",
            "the plan was made without the values of the arguments (a generic plan), and PostGIS "
            "cannot estimate an unknown box: plan_cache_mode is set for the role or the database.",
            set_for_role(diagnosis, "plan_cache_mode = force_custom_plan"),
        )


def set_for_role(diagnosis: Diagnosis, setting: str) -> str | None:
    """The command that sets something for the sessions of the service.

    A setting for the role in this database has priority over settings for either of them.
    """
    role, database = diagnosis.role, diagnosis.database
    if role is None or database is None:
        return None
    return f"ALTER ROLE {quote(role)} IN DATABASE {quote(database)} SET {setting}"


def costly_function(evidence: Evidence) -> Iterator[Advice]:
    """The query calls a function whose body the planner does not see."""
    diagnosis = evidence.diagnosis
    if diagnosis.plan is None or not _reads_tables(diagnosis.plan, diagnosis):
        return
    for name in functions_of(diagnosis.plan):
        function = diagnosis.functions.get(name)
        if function is None or name in _HARMLESS:
            continue
        if function["volatile"]:
            reason = "volatile, so PostgreSQL leaves out no call of it"
        elif function["own"]:
            reason = "opaque to the planner"
        else:
            continue
        yield Advice(
            "costly-function",
            f"the query calls {name}(), which is {reason}: the time may be spent there. Look at "
            "its body, and at the view or function that calls it.",
        )


def _reads_tables(plan: Node, diagnosis: Diagnosis) -> bool:
    """Whether a statement reads anything that does not belong to PostgreSQL or geosvc."""
    if any(function["own"] for function in diagnosis.functions.values()):
        return True
    return any(name in diagnosis.relations for name in relations_of(plan))
