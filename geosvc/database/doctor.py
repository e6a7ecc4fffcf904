"""The checks of `geosvc check`: they read a database, and report findings.

All checks share one connection. Each is limited in time. A check that fails is a finding, and the
others continue.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from time import time

import asyncpg
import orjson

from geosvc.advice.findings import Facts, Finding, subject_of
from geosvc.advice.geometry_findings import judge_sample
from geosvc.advice.publication_findings import judge_log, judge_log_size, judge_publication
from geosvc.advice.relation_findings import judge_key, judge_relation
from geosvc.advice.server_findings import (
    judge_connections,
    judge_pooler,
    judge_role,
    judge_schemas,
    judge_server,
    judge_skew,
)
from geosvc.catalog.collections import Catalog, build_catalog
from geosvc.database.catalog import served_collections
from geosvc.database.connection import open_connection
from geosvc.database.sqlstate import DATABASE_ERRORS
from geosvc.database.target import target_of, why_unreachable
from geosvc.database.trial_reads import TrialReads
from geosvc.errors import GeosvcError
from geosvc.model.collection import Collection
from geosvc.settings import Settings
from geosvc.settings.publication import CollectionSettings
from geosvc.sql.compose import Identifier, Params
from geosvc.sql.files import load_statement

CHECK_SECONDS = 5.0
READING_SECONDS = 30.0
SAMPLES_SECONDS = 60.0
LISTEN_SECONDS = 2.0
# of each worker, outside the pool: for the requests of operators, and for the test of readiness
OPERATOR_CONNECTIONS = 2

_STORED_KINDS = ("r", "m", "p")
_SEVERITY_ORDER = {"error": 0, "warning": 1, "info": 2}

_Findings = Iterable[Finding]
_Check = Callable[[], Awaitable[_Findings]]


@dataclass(slots=True)
class CheckReport:
    """What was checked, and what was found.

    Attributes:
        checked: the names of the checks that ended.
        collections: how many collections there are.
    """

    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    collections: int = 0

    @property
    def failed(self) -> bool:
        """Whether a finding is an error."""
        return any(finding.severity == "error" for finding in self.findings)

    def sort(self) -> None:
        """Sort the findings: errors first."""
        self.findings.sort(key=_sort_key)


def _sort_key(finding: Finding) -> tuple[int, str, str]:
    return _SEVERITY_ORDER[finding.severity], finding.code, finding.subject


def quote(*names: str) -> str:
    """Write a name, with its schema if given, as SQL does."""
    return Identifier(*names).render(Params())


@asynccontextmanager
async def _connected(settings: Settings, url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await open_connection(
        settings, url, command_timeout=CHECK_SECONDS, statement_cache_size=0
    )
    try:
        yield connection
    finally:
        connection.terminate()


def _check_failed(subject: str, error: BaseException) -> Finding:
    message = str(error).partition("\n")[0]
    text = f"the check failed: {type(error).__name__}: {message}"
    return Finding("warning", "check-failed", subject, text)


class Doctor:
    """One examination of a database.

    Args:
        url: of the database, as the service uses it. `settings.direct_database_url` may be another
            way to the same database.
    """

    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._url = url

    async def examine(self) -> CheckReport:
        """Run all checks. A problem of the database is a finding, not an exception."""
        report = CheckReport()
        try:
            async with _connected(self._settings, self._url) as connection:
                await _Examination(self._settings, self._url, connection, report).run()
        except (*DATABASE_ERRORS, GeosvcError) as error:
            target = target_of(self._url)
            text = f"the database cannot be reached: {target}: {why_unreachable(error)}"
            finding = Finding("error", "no-connection", "GEOSVC_DATABASE_URL", text)
            report.findings.append(finding)
        report.sort()
        return report


class _Examination:
    """The checks. The later ones use what the earlier ones have read."""

    def __init__(
        self, settings: Settings, url: str, connection: asyncpg.Connection, report: CheckReport
    ) -> None:
        self._settings = settings
        self._url = url
        self._connection = connection
        self._report = report
        self._reads = TrialReads(connection, quote)
        self._server: Facts = {}
        self._relations: list[Facts] = []
        self._catalog: Catalog | None = None
        self._unreadable: set[str] = set()

    async def run(self) -> None:
        """Run the checks until the connection is lost."""
        checks: dict[str, _Check] = {
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
                self._report.findings += await check()
                self._report.checked.append(name)
            except DATABASE_ERRORS as error:
                self._report.findings.append(_check_failed(name, error))
                if self._connection.is_closed():
                    return

    async def _fetch(self, file: str, *args: object) -> list[asyncpg.Record]:
        """Fetch the rows of a statement in `geosvc/sql`."""
        statement = load_statement(file, args)
        return list(await self._connection.fetch(statement.text, *statement.args))

    async def _check_server(self) -> _Findings:
        requested_at = time()
        rows = await self._fetch("check_server")
        read_at = (requested_at + time()) / 2
        self._server = orjson.loads(rows[0][0])
        skew_seconds = self._server["now"] - read_at
        worker_connections = self._settings.pool_max_size + OPERATOR_CONNECTIONS
        needed_connections = self._settings.workers * worker_connections
        findings = list(judge_server(self._server))
        findings += judge_skew(skew_seconds)
        findings += judge_connections(self._server["max_connections"], needed_connections)
        return findings

    async def _check_schemas(self) -> _Findings:
        rows = await self._fetch("check_schemas", list(self._settings.schemas))
        schemas = [(name, exists, usable) for name, exists, usable in rows]
        return judge_schemas(schemas, self._server["role"], quote)

    async def _check_relations(self) -> _Findings:
        rows = await self._fetch("check_relations", list(self._settings.schemas))
        self._relations = [orjson.loads(row[0]) for row in rows]
        findings: list[Finding] = []
        for relation in self._relations:
            findings += judge_relation(relation, self._server["role"], quote)
        findings += judge_role(self._server, self._relations, quote)
        return findings

    async def _check_reading(self) -> _Findings:
        findings: list[Finding] = []
        ends_at = time() + READING_SECONDS
        for relation in self._relations:
            is_tried = relation["readable"] and relation["columns"]
            if not is_tried or time() >= ends_at:
                continue
            failures = await self._reads.some_rows(relation)
            findings += failures
            for failure in failures:
                self._unreadable.add(failure.subject)
        return findings

    def _readable_relations(self) -> Iterator[Facts]:
        """The relations that the role may read, without those for which reading has failed."""
        for relation in self._relations:
            if relation["readable"] and subject_of(relation) not in self._unreadable:
                yield relation

    async def _check_samples(self) -> _Findings:
        findings: list[Finding] = []
        ends_at = time() + SAMPLES_SECONDS
        for relation in self._readable_relations():
            if relation["kind"] not in _STORED_KINDS:
                continue
            for geometry in relation["geometries"]:
                if time() > ends_at:
                    findings.append(_not_sampled(relation))
                    return findings
                findings += await self._check_geometries(relation, geometry)
        return findings

    async def _check_geometries(self, relation: Facts, geometry: Facts) -> _Findings:
        """Check a sample of a geometry column. A failure is a finding."""
        column = geometry["name"]
        try:
            sample = await self._reads.geometries(relation, column)
        except DATABASE_ERRORS as error:
            return [_check_failed(f"{subject_of(relation)}.{column}", error)]
        return judge_sample(relation, geometry, sample, quote)

    async def _check_settings(self) -> _Findings:
        """Find settings of collections or columns that do not exist: the service ignores these."""
        if self._server["postgis"] is None:
            return []
        statement = load_statement("catalog", (list(self._settings.schemas),))
        # this connection has no codec for json
        text = statement.text.replace("AS collection", "::text AS collection")
        rows = await self._connection.fetch(text, *statement.args)
        descriptions = (orjson.loads(row[0]) for row in rows)
        self._catalog = build_catalog(descriptions, served_collections(self._settings), "")
        self._report.collections = len(self._catalog.collections)
        findings: list[Finding] = []
        for name, settings in self._settings.collections.items():
            findings += _judge_settings(name, settings, self._catalog.collections.get(name))
        return findings

    def _collections(self) -> Iterable[Collection]:
        if self._catalog is None:
            return ()
        return self._catalog.collections.values()

    async def _check_keys(self) -> _Findings:
        """Check that each feature id names one row."""
        relations = {}
        for relation in self._readable_relations():
            relations[relation["schema"], relation["name"]] = relation
        findings: list[Finding] = []
        for collection in self._collections():
            if not collection.key:
                # a table with several geometries is several collections, and has one finding
                keyless = relations.pop((collection.schema, collection.name), None)
                if keyless is not None:
                    findings.append(judge_key(keyless, collection.id, quote))
            elif not collection.key_is_unique:
                findings += await self._check_repeated_keys(collection)
        return findings

    async def _check_repeated_keys(self, collection: Collection) -> _Findings:
        """Check the key that the settings name for a collection. A failure is a finding."""
        try:
            return await self._reads.repeated_keys(collection)
        except DATABASE_ERRORS as error:
            return [_check_failed(f"{collection.schema}.{collection.name}", error)]

    async def _check_publications(self) -> _Findings:
        rows = await self._fetch("check_publications")
        log_rows = await self._fetch("check_log")
        if not rows or not log_rows or log_rows[0][0] is None:
            return []
        findings: list[Finding] = []
        for row in rows:
            publication = orjson.loads(row[0])
            collection_id, key = self._collection_of(publication)
            findings += judge_publication(publication, collection_id, key)
        log = orjson.loads(log_rows[0][0])
        findings += judge_log(log, self._server["role"], quote)
        if log["readable"]:
            age_rows = await self._fetch("check_log_age")
            age_seconds = age_rows[0][0] or 0.0
            most_rows = self._settings.feed_max_changes
            retention_seconds = self._settings.feed_retention
            findings += judge_log_size(log["rows"], age_seconds, most_rows, retention_seconds)
        return findings

    def _collection_of(self, publication: Facts) -> tuple[str, tuple[str, ...] | None]:
        """The id and the key of a published table's collection; key None if it is not served."""
        table = (publication["schema"], publication["name"])
        for collection in self._collections():
            if (collection.schema, collection.name) == table:
                return collection.id, collection.key
        return subject_of(publication), None

    async def _check_pooler(self) -> _Findings:
        server_pid = self._server["pid"]
        return judge_pooler(server_pid, self._connection.get_server_pid(), self._settings.pgbouncer)

    async def _check_listen(self) -> _Findings:
        subject = "GEOSVC_DIRECT_DATABASE_URL"
        if self._server["in_recovery"]:
            text = (
                "the database is a hot standby, which takes no LISTEN: live changes need the"
                " primary server"
            )
            return [Finding("info", "standby", subject, text)]
        url = self._url
        if self._settings.direct_database_url is not None:
            url = self._settings.direct_database_url.get_secret_value()
        if await _receives_notifications(self._settings, url):
            return []
        text = (
            "a notification did not arrive: live changes need a URL of the database without a"
            " pooler in between"
        )
        return [Finding("warning", "no-listen", subject, text)]


def _not_sampled(relation: Facts) -> Finding:
    text = f"after {SAMPLES_SECONDS:.0f} s the other geometries were not sampled"
    return Finding("info", "not-sampled", subject_of(relation), text)


def _judge_settings(
    name: str, settings: CollectionSettings, collection: Collection | None
) -> Iterator[Finding]:
    """The findings about the settings of one collection; None if it does not exist."""
    subject = f"collections.{name}"
    if collection is None:
        text = "the setting is for a collection that does not exist"
        yield Finding("warning", "no-such-collection", subject, text)
        return
    if settings.key and collection.key != settings.key:
        text = f"key names columns that do not exist: {', '.join(settings.key)}"
        yield Finding("warning", "no-such-column", subject, text)
    if settings.datetime and collection.temporal != settings.datetime:
        columns = ", ".join(settings.datetime)
        text = f"datetime names columns that do not exist or have no type of time: {columns}"
        yield Finding("warning", "no-such-column", subject, text)


async def _receives_notifications(settings: Settings, url: str) -> bool:
    """Whether a notification arrives on the connection that sent it."""
    has_arrived = asyncio.Event()

    def receive(*_: object) -> None:
        has_arrived.set()

    async with _connected(settings, url) as connection:
        channel = f"geosvc_check_{token_hex(6)}"
        await connection.add_listener(channel, receive)
        await connection.execute("SELECT pg_notify($1, '')", channel)
        try:
            async with asyncio.timeout(LISTEN_SECONDS):
                await has_arrived.wait()
        except TimeoutError:
            return False
    return True
