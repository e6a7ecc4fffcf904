"""Why a statement was slow: its plan, and what the catalog says of the relations in it.

Both are asked for on a connection of their own, at most once in EVERY_SECONDS for a fingerprint and MAX_PER_MINUTE in all, and
are kept for the lines between. Whatever fails here is counted and told once; the line of the log comes without a plan.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from geosvc.database.pool import Database
from geosvc.errors import GeosvcError, RequestError
from geosvc.events import report_failure
from geosvc.observe.metrics import Counter
from geosvc.observe.plan import Node, functions_of, parse_plan, relations_of
from geosvc.query.vertices import select_vertices
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement

EVERY_SECONDS = 60.0
MAX_KEPT = 256
MAX_PER_MINUTE = 120
STATEMENT_SECONDS = 2.0
DIAGNOSIS_SECONDS = 5.0
_NEVER_EXPLAINED = ("BEGIN", "COMMIT", "ROLLBACK", "SET", "EXPLAIN", "COPY")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found out; empty when nobody asked or nothing answered."""

    plan: Node | None = None
    relations: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    functions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    work_mem_bytes: int = 0
    vertices: float | None = None


NOTHING = Diagnosis()


class Diagnoser:
    """Asks for plans, with the arguments that the statement had.

    Args:
        database: of one connection, apart from those that requests use.
        explained: counts by outcome.
    """

    def __init__(self, database: Database, explained: Counter) -> None:
        self._database = database
        self._explained = explained
        self._minute_began = 0.0
        self._in_minute = 0
        self._kept: OrderedDict[str, tuple[float, Diagnosis]] = OrderedDict()

    async def diagnose(self, fingerprint: str, text: str, args: Sequence[object] | None) -> Diagnosis:
        """The plan of a statement and what belongs to it, at most EVERY_SECONDS old. Never raises RequestError.

        Args:
            args: None when they were too large to be kept.
        """
        kept = self._kept.get(fingerprint)
        if kept is not None and monotonic() - kept[0] < EVERY_SECONDS:
            self._explained.add(("kept",))
            return kept[1]
        if monotonic() - self._minute_began >= 60:
            self._minute_began, self._in_minute = monotonic(), 0
        if self._in_minute >= MAX_PER_MINUTE:
            self._explained.add(("limited",))
            return NOTHING
        if args is None or text.lstrip().upper().startswith(_NEVER_EXPLAINED):
            return NOTHING
        self._in_minute += 1
        try:
            async with asyncio.timeout(DIAGNOSIS_SECONDS):
                diagnosis = await self._ask(text, args)
            self._explained.add(("explained",))
        except (GeosvcError, TimeoutError, LookupError, TypeError, ValueError) as error:
            self._explained.add(("failed",))
            reason = error.reason if isinstance(error, RequestError) and error.reason else type(error).__name__
            report_failure("explain", reason)
            diagnosis = NOTHING  # kept as well, so that what cannot be explained is not tried again and again
        self._kept[fingerprint] = (monotonic(), diagnosis)
        self._kept.move_to_end(fingerprint)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return diagnosis

    async def _ask(self, text: str, args: Sequence[object]) -> Diagnosis:
        explain = Statement("operations.explain", f"EXPLAIN (FORMAT JSON, VERBOSE) {text}", args)
        rows = await self._database.fetch(explain, STATEMENT_SECONDS)
        plan = parse_plan(rows[0][0][0]["Plan"])
        names = relations_of(plan)
        schemas, tables = [schema for schema, _ in names], [name for _, name in names]
        relations = {
            (row[0]["schema"], row[0]["name"]): row[0]
            for row in await self._database.fetch(load_statement("plan_relations", (schemas, tables)), STATEMENT_SECONDS)
        }
        functions = {
            row[0]: {"volatile": row[1], "own": row[2], "generic": row[3]}
            for row in await self._database.fetch(load_statement("plan_functions", (functions_of(plan),)), STATEMENT_SECONDS)
        }
        work_mem = await self._database.fetch(load_statement("work_mem"), STATEMENT_SECONDS)
        return Diagnosis(plan, relations, functions, work_mem[0][0], await self._vertices(relations))

    async def _vertices(self, relations: Mapping[tuple[str, str], Mapping[str, Any]]) -> float | None:
        """Of the geometries in the plan, the most that a table has on average in its first rows."""
        found = [0.0]
        for relation in relations.values():
            for column in relation["spatial"]:
                statement = select_vertices(relation["schema"], relation["name"], column)
                rows = await self._database.fetch(statement, STATEMENT_SECONDS)
                found.append(float(rows[0][0] or 0))
        return max(found)
