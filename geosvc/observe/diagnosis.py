"""Asks the database why a statement was slow: its plan, and facts about its relations.

These statements have a connection of their own. Each fingerprint is diagnosed at most once in
EVERY_SECONDS, and all fingerprints together at most MAX_PER_MINUTE times a minute. In between, the
diagnosis is used again. A failure is counted and reported once; the line in the log then has no
plan.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from geosvc.advice.evidence import ColumnSample, Diagnosis, Relation, RelationName
from geosvc.advice.plan import Node, functions_of, parse_plan, relations_of
from geosvc.database.pool import Database
from geosvc.errors import GeosvcError, RequestError
from geosvc.events import report_failure
from geosvc.observe.metrics import Counter
from geosvc.query.vertices import select_vertices
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement

EVERY_SECONDS = 60.0
MAX_KEPT = 256
MAX_PER_MINUTE = 120
STATEMENT_SECONDS = 2.0
DIAGNOSIS_SECONDS = 5.0
_EXPLAINABLE = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "(")


class Diagnoser:
    """Asks for plans, with the arguments of the statement.

    Args:
        database: a pool of one connection, apart from those of requests.
        explained: counts by outcome.
    """

    def __init__(self, database: Database, explained: Counter) -> None:
        self._database = database
        self._explained = explained
        self._minute_began = 0.0
        self._in_minute = 0
        self._kept: OrderedDict[str, tuple[float, Diagnosis]] = OrderedDict()

    async def diagnose(
        self, fingerprint: str, text: str, args: Sequence[object] | None
    ) -> Diagnosis:
        """The diagnosis of a statement, at most EVERY_SECONDS old; empty when there is none.

        Never raises RequestError.

        Args:
            args: None when they were too large to be kept.
        """
        kept = self._find_kept(fingerprint)
        if kept is not None:
            self._explained.add(("kept",))
            return kept
        if self._is_limited():
            self._explained.add(("limited",))
            return Diagnosis()
        can_be_explained = text.lstrip().upper().startswith(_EXPLAINABLE)
        if args is None or not can_be_explained:
            return Diagnosis()
        self._in_minute += 1
        diagnosis = await self._try_diagnosing(text, args)
        self._keep(fingerprint, diagnosis)
        return diagnosis

    def _find_kept(self, fingerprint: str) -> Diagnosis | None:
        """The diagnosis that is kept, if it is not too old."""
        if fingerprint not in self._kept:
            return None
        made_at, diagnosis = self._kept[fingerprint]
        if monotonic() - made_at >= EVERY_SECONDS:
            return None
        return diagnosis

    def _is_limited(self) -> bool:
        """Whether the database was asked MAX_PER_MINUTE times in this minute."""
        now = monotonic()
        if now - self._minute_began >= 60:
            self._minute_began = now
            self._in_minute = 0
        return self._in_minute >= MAX_PER_MINUTE

    def _keep(self, fingerprint: str, diagnosis: Diagnosis) -> None:
        self._kept[fingerprint] = (monotonic(), diagnosis)
        self._kept.move_to_end(fingerprint)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    async def _try_diagnosing(self, text: str, args: Sequence[object]) -> Diagnosis:
        """The diagnosis; an empty one after a failure.

        The empty one is kept as well, so that a statement that cannot be explained is not tried
        again and again.
        """
        try:
            async with asyncio.timeout(DIAGNOSIS_SECONDS):
                diagnosis = await self._diagnose(text, args)
        except (GeosvcError, TimeoutError, LookupError, TypeError, ValueError) as error:
            self._explained.add(("failed",))
            reason = type(error).__name__
            if isinstance(error, RequestError) and error.reason:
                reason = error.reason
            report_failure("explain", reason)
            return Diagnosis()
        self._explained.add(("explained",))
        return diagnosis

    async def _fetch(self, statement: Statement) -> Sequence[Any]:
        return await self._database.fetch(statement, STATEMENT_SECONDS)

    async def _diagnose(self, text: str, args: Sequence[object]) -> Diagnosis:
        explain = Statement("operations.explain", f"EXPLAIN (FORMAT JSON, VERBOSE) {text}", args)
        explained = await self._fetch(explain)
        documents = explained[0][0]
        plan = parse_plan(documents[0]["Plan"])
        relations = await self._fetch_relations(plan)
        functions = await self._fetch_functions(plan)
        sessions = await self._fetch(load_statement("plan_session"))
        work_mem_bytes, role, database, postgis = sessions[0]
        samples = await self._sample_columns(relations)
        return Diagnosis(
            plan=plan,
            relations=relations,
            functions=functions,
            work_mem_bytes=work_mem_bytes,
            role=role,
            database=database,
            postgis=postgis,
            column_samples=samples,
        )

    async def _fetch_relations(self, plan: Node) -> dict[RelationName, Relation]:
        names = relations_of(plan)
        schemas = [schema for schema, _ in names]
        tables = [table for _, table in names]
        relations: dict[RelationName, Relation] = {}
        rows = await self._fetch(load_statement("plan_relations", (schemas, tables)))
        for (relation,) in rows:
            relations[relation["schema"], relation["name"]] = relation
        return relations

    async def _fetch_functions(self, plan: Node) -> dict[str, Mapping[str, Any]]:
        functions: dict[str, Mapping[str, Any]] = {}
        names = functions_of(plan)
        rows = await self._fetch(load_statement("plan_functions", (names,)))
        for name, volatile, own, generic, signature in rows:
            functions[name] = {
                "volatile": volatile,
                "own": own,
                "generic": generic,
                "signature": signature,
            }
        return functions

    async def _sample_columns(
        self, relations: Mapping[RelationName, Relation]
    ) -> dict[tuple[str, str, str], ColumnSample]:
        """Reads the first rows of every geometry column in the plan."""
        samples: dict[tuple[str, str, str], ColumnSample] = {}
        for (schema, table), relation in relations.items():
            for column in relation["spatial"]:
                rows = await self._fetch(select_vertices(schema, table, column))
                vertices, srids, dimensions = rows[0]
                samples[schema, table, column] = ColumnSample(
                    vertices=float(vertices or 0),
                    srids=tuple(srids or ()),
                    dimensions=tuple(dimensions or ()),
                )
        return samples
