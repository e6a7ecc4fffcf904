"""`geosvc check`: reads what there is over a connection of its own, and says what is not as it should be.

Each check is bounded in time; one that fails is a finding, and the others go on.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from time import time
from typing import Any

import asyncpg
import orjson

from geosvc.advice.findings import Facts, Finding
from geosvc.advice.geometry_findings import Sample, judge_sample
from geosvc.advice.publication_findings import judge_log, judge_log_size, judge_publication
from geosvc.advice.relation_findings import (
    judge_key,
    judge_reading,
    judge_relation,
    judge_repeats,
)
from geosvc.advice.server_findings import (
    judge_connections,
    judge_pooler,
    judge_role,
    judge_schemas,
    judge_server,
    judge_skew,
)
from geosvc.catalog.collections import Catalog, build_catalog
from geosvc.database.catalog import selection_of
from geosvc.database.connection import connect_arguments
from geosvc.database.sqlstate import DATABASE_ERRORS, describe_read
from geosvc.database.target import target_of, why_unreachable
from geosvc.errors import GeosvcError
from geosvc.model.collection import Collection
from geosvc.query.sample_rows import count_repeats, read_some, select_sample
from geosvc.settings import Settings
from geosvc.sql.compose import Identifier, Params
from geosvc.sql.files import load_statement

CHECK_SECONDS = 5.0
OPERATORS = (
    2  # connections of a worker beside the pool: what operators ask, and whether it is ready
)
READING_SECONDS = 30.0
SAMPLES_SECONDS = 60.0
LISTEN_SECONDS = 2.0
_STORED = ("r", "m", "p")
_WORDS = {"error": 0, "warning": 1, "info": 2}


@dataclass(slots=True)
class CheckReport:
    """What was looked at, and what was found."""

    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    collections: int = 0

    @property
    def failed(self) -> bool:
        """Whether something is an error."""
        return any(each.severity == "error" for each in self.findings)

    def sort(self) -> None:
        """Errors first."""
        self.findings.sort(key=lambda each: (_WORDS[each.severity], each.code, each.subject))


def quote(*names: str) -> str:
    """A name as SQL writes it."""
    return Identifier(*names).render(Params())


@asynccontextmanager
async def _connected(settings: Settings, url: str) -> AsyncIterator[asyncpg.Connection]:
    arguments = {
        **connect_arguments(settings, url),
        "command_timeout": CHECK_SECONDS,
        "statement_cache_size": 0,
    }
    connection = await asyncpg.connect(**arguments)
    try:
        yield connection
    finally:
        connection.terminate()


class Doctor:
    """One examination of a database.

    Args:
        url: of the service; `settings.direct_database_url` may be another way to the same database.
    """

    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._url = url
        self._server: Facts = {}
        self._relations: list[Facts] = []
        self._catalog: Catalog | None = None
        self._unreadable: set[str] = set()
        self.report = CheckReport()

    async def examine(self) -> CheckReport:
        """Never raises for what it finds."""
        try:
            async with _connected(self._settings, self._url) as connection:
                await self._examine(connection)
        except (*DATABASE_ERRORS, GeosvcError) as error:
            text = (
                f"the database cannot be reached: {target_of(self._url)}: {why_unreachable(error)}"
            )
            self.report.findings.append(
                Finding("error", "no-connection", "GEOSVC_DATABASE_URL", text)
            )
        self.report.sort()
        return self.report

    async def _examine(self, connection: asyncpg.Connection) -> None:
        checks: dict[str, Callable[[asyncpg.Connection], Awaitable[Iterable[Finding]]]] = {
            "server": self._check_server,
            "schemas": self._check_schemas,
            "relations": self._check_relations,
            "reading": self._check_reading,
            "samples": self._check_samples,
            "settings": self._check_settings,
            "keys": self._check_keys,
            "publications": self._check_publications,
            "pooler": self._check_pooler,
            "listen": self._check_listen,
        }
        for name, check in checks.items():
            try:
                self.report.findings += await check(connection)
                self.report.checked.append(name)
            except DATABASE_ERRORS as error:
                self._give_up(name, error)
                if connection.is_closed():
                    return

    def _give_up(self, name: str, error: BaseException) -> None:
        text = f"the check failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        self.report.findings.append(Finding("warning", "check-failed", name, text))

    async def _check_server(self, connection: asyncpg.Connection) -> Iterable[Finding]:
        before = time()
        self._server = orjson.loads(await connection.fetchval(load_statement("check_server").text))
        middle = (before + time()) / 2
        wanted = self._settings.workers * (self._settings.pool_max_size + OPERATORS)
        return [
            *judge_server(self._server),
            *judge_skew(self._server["now"] - middle),
            *judge_connections(self._server["max_connections"], wanted),
        ]

    async def _check_schemas(self, connection: asyncpg.Connection) -> Iterable[Finding]:
        statement = load_statement("check_schemas", (list(self._settings.schemas),))
        rows = await connection.fetch(statement.text, *statement.args)
        return list(
            judge_schemas([(row[0], row[1], row[2]) for row in rows], self._server["role"], quote)
        )

    async def _check_relations(self, connection: asyncpg.Connection) -> Iterable[Finding]:
        statement = load_statement("check_relations", (list(self._settings.schemas),))
        rows = await connection.fetch(statement.text, *statement.args)
        self._relations = [orjson.loads(row[0]) for row in rows]
        role = self._server["role"]
        findings = [
            finding for each in self._relations for finding in judge_relation(each, role, quote)
        ]
        return [*findings, *judge_role(self._server, self._relations, quote)]

    async def _check_keys(self, connection: asyncpg.Connection) -> Iterable[Finding]:
        """Whether ids name one row each."""
        findings: list[Finding] = []
        relations = {(each["schema"], each["name"]): each for each in self._read_relations()}
        for each in self._catalog.collections.values() if self._catalog is not None else ():
            relation = relations.get((each.schema, each.name))
            if not each.key and relation is not None:
                del relations[each.schema, each.name]  # one finding, however many geometries it has
                findings.append(judge_key(relation, each.id, quote))
            elif each.key and not each.key_is_unique:
                findings += await self._check_repeats(connection, each)
        return findings

    def _read_relations(self) -> Iterator[Facts]:
        """The relations that can be read, as far as was tried."""
        for each in self._relations:
            if each["readable"] and f"{each['schema']}.{each['name']}" not in self._unreadable:
                yield each

    async def _check_repeats(
        self, connection: asyncpg.Connection, collection: Collection
    ) -> Iterable[Finding]:
        subject = f"{collection.schema}.{collection.name}"
        statement = count_repeats(collection)
        try:
            async with connection.transaction(readonly=True):
                await connection.execute("SET LOCAL statement_timeout = '4s'")
                repeats = await connection.fetchval(statement.text, *statement.args)
        except asyncpg.QueryCanceledError:
            text = f"in 4 s it was not found out whether {', '.join(collection.key)} names one row"
            return [Finding("info", "not-sampled", subject, text)]
        except DATABASE_ERRORS as error:
            self._give_up(subject, error)
            return []
        return judge_repeats(subject, collection.id, collection.key, repeats)

    async def _check_reading(self, connection: asyncpg.Connection) -> Iterable[Finding]:
        """Reads some rows of each relation as a request would: rights, foreign servers and stored values are tried by it."""
        findings: list[Finding] = []
        until = time() + READING_SECONDS
        for relation in self._relations:
            if relation["readable"] and relation["columns"] and time() < until:
                found = await self._try_reading(connection, relation)
                findings += found
                self._unreadable |= {each.subject for each in found}
        return findings

    async def _try_reading(self, connection: asyncpg.Connection, relation: Facts) -> list[Finding]:
        statement = read_some(relation["schema"], relation["name"], relation["columns"])
        try:
            async with connection.transaction(readonly=True):
                await connection.execute(
                    "SET LOCAL client_min_messages = error; SET LOCAL statement_timeout = '2s'"
                )
                await connection.fetch(statement.text, *statement.args)
        except asyncpg.QueryCanceledError:
            return []  # slow, which is no fault
        except asyncpg.PostgresError as error:
            if connection.is_closed():
                raise
            missing = load_statement("check_missing_grants", (relation["schema"], relation["name"]))
            lacks = isinstance(error, asyncpg.InsufficientPrivilegeError)
            grants = (
                [row[0] for row in await connection.fetch(missing.text, *missing.args)]
                if lacks
                else []
            )
            return [
                judge_reading(relation, error.sqlstate or "", describe_read(error), grants, quote)
            ]
        return []

    async def _check_samples(self, connection: asyncpg.Connection) -> Iterable[Finding]:
        findings: list[Finding] = []
        until = time() + SAMPLES_SECONDS
        stored = [each for each in self._read_relations() if each["kind"] in _STORED]
        for relation in stored:
            for geometry in relation["geometries"]:
                if time() > until:
                    text = (
                        f"after {SAMPLES_SECONDS:.0f} s the geometries of the rest were not sampled"
                    )
                    return [
                        *findings,
                        Finding(
                            "info", "not-sampled", f"{relation['schema']}.{relation['name']}", text
                        ),
                    ]
                try:
                    sample = await self._sample(connection, relation, geometry["name"])
                except DATABASE_ERRORS as error:
                    self._give_up(
                        f"{relation['schema']}.{relation['name']}.{geometry['name']}", error
                    )
                    continue
                findings += judge_sample(relation, geometry, sample, quote)
        return findings

    async def _sample(self, connection: asyncpg.Connection, relation: Facts, column: str) -> Sample:
        statement = select_sample(relation["schema"], relation["name"], column, relation["rows"])
        async with connection.transaction(readonly=True):
            # what ST_IsValid finds it tells in a notice a row; asyncpg would make an object of each
            await connection.execute(
                "SET LOCAL client_min_messages = error; SET LOCAL statement_timeout = '4s'"
            )
            rows = await connection.fetch(statement.text, *statement.args)
        return Sample(rows[0][0], rows[0][1], tuple(rows[0][2] or ()), rows[0][3])

    async def _check_settings(self, connection: asyncpg.Connection) -> Iterable[Finding]:
        """What COLLECTIONS says of collections and columns that are not there, which serving passes over."""
        if self._server["postgis"] is None:
            return []
        statement = load_statement("catalog", (list(self._settings.schemas),))
        rows = await connection.fetch(
            statement.text.replace("AS collection", "::text AS collection"), *statement.args
        )
        catalog = build_catalog(
            (orjson.loads(row[0]) for row in rows), selection_of(self._settings), ""
        )
        self._catalog = catalog
        self.report.collections = len(catalog.collections)
        return list(self._judge_overrides(catalog))

    def _judge_overrides(self, catalog: Catalog) -> Iterator[Finding]:
        for name, override in self._settings.collections.items():
            subject = f"collections.{name}"
            collection = catalog.collections.get(name)
            if collection is None:
                yield Finding(
                    "warning",
                    "no-such-collection",
                    subject,
                    "the setting is for a collection that is not there",
                )
                continue
            if override.key and collection.key != override.key:
                text = f"key names columns that are not there: {', '.join(override.key)}"
                yield Finding("warning", "no-such-column", subject, text)
            if override.datetime and collection.temporal != override.datetime:
                text = f"datetime names columns that are not there or hold no time: {', '.join(override.datetime)}"
                yield Finding("warning", "no-such-column", subject, text)

    async def _check_publications(self, connection: asyncpg.Connection) -> Iterable[Finding]:
        rows = await connection.fetch(load_statement("check_publications").text)
        publications = [orjson.loads(row[0]) for row in rows]
        log = await connection.fetchval(load_statement("check_log").text)
        if not publications or log is None:
            return []
        findings = [
            finding
            for each in publications
            for finding in judge_publication(each, *self._called(each))
        ]
        log = orjson.loads(log)
        findings += judge_log(log, self._server["role"], quote)
        if log["readable"]:
            age = await connection.fetchval(load_statement("check_log_age").text)
            limits = (self._settings.feed_max_changes, self._settings.feed_retention)
            findings += judge_log_size(log["rows"], age or 0.0, *limits)
        return findings

    def _called(self, facts: Facts) -> tuple[str, tuple[str, ...] | None]:
        """The collection of a published table and its key; None when it is not served."""
        served = self._catalog.collections.values() if self._catalog is not None else ()
        for each in served:
            if (each.schema, each.name) == (facts["schema"], facts["name"]):
                return each.id, each.key
        return f"{facts['schema']}.{facts['name']}", None

    async def _check_pooler(self, connection: asyncpg.Connection) -> Iterable[Finding]:
        return list(
            judge_pooler(self._server["pid"], connection.get_server_pid(), self._settings.pgbouncer)
        )

    async def _check_listen(self, connection: asyncpg.Connection) -> Iterable[Finding]:
        if self._server["in_recovery"]:
            text = "the database is a hot standby, which takes no LISTEN: live changes need the primary"
            return [Finding("info", "standby", "GEOSVC_DIRECT_DATABASE_URL", text)]
        direct = self._settings.direct_database_url
        url = direct.get_secret_value() if direct is not None else self._url
        if await _hears(self._settings, url):
            return []
        text = "a notification did not arrive: live changes need a way to the database without a pooler"
        return [Finding("warning", "no-listen", "GEOSVC_DIRECT_DATABASE_URL", text)]


async def _hears(settings: Settings, url: str) -> bool:
    """Whether a notification comes back."""
    heard = asyncio.Event()

    def hear(*_: Any) -> None:
        heard.set()

    async with _connected(settings, url) as connection:
        channel = f"geosvc_check_{token_hex(6)}"
        await connection.add_listener(channel, hear)
        await connection.execute("SELECT pg_notify($1, '')", channel)
        try:
            async with asyncio.timeout(LISTEN_SECONDS):
                await heard.wait()
        except TimeoutError:
            return False
    return True
